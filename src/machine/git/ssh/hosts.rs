//! The known host keys of ssh servers: GitHub's, and those of the policy. No key is accepted on first use.

use std::borrow::Cow;

use russh::Preferred;
use russh::keys::ssh_key::Algorithm;

use crate::error::{Code, Error, Result};
use crate::facts::{HostKey, RSA_HOST_KEY};

/// As https://api.github.com/meta and "GitHub's SSH key fingerprints" give them:
/// SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU and SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM.
/// The third, an RSA key, is not needed: GitHub shows one of these to a client that asks for it.
const GITHUB: [&str; 2] = [
    "github.com,[ssh.github.com]:443 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "github.com,[ssh.github.com]:443 ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
];

/// The keys of one server.
#[derive(Clone)]
pub struct Known {
    keys: Vec<HostKey>,
}

impl Known {
    /// `E-GIT-HOST-UNKNOWN` if there is no key for this host and port.
    pub fn of(host: &str, port: u16, policy: &[HostKey]) -> Result<Known> {
        let github = GITHUB.iter().filter_map(|line| HostKey::try_from((*line).to_owned()).ok());
        let keys: Vec<HostKey> =
            github.chain(policy.iter().cloned()).filter(|key| key.is_of(host, port)).collect();
        match keys.is_empty() {
            false => Ok(Known { keys }),
            true => Err(Error::new(
                Code::HostUnknown,
                format!("looking for the ssh host key of {host}, port {port}"),
                "the policy has none, and a key that the server itself sends proves nothing",
            )),
        }
    }

    /// `blob`: a public key in the encoding of ssh's protocol.
    pub fn has(&self, blob: &[u8]) -> bool {
        self.keys.iter().any(|key| key.blob() == blob)
    }

    /// The kinds of host keys to ask for: first those of known keys, then the others, so that the error for a server
    /// with another kind of key names that key. An RSA key must sign with SHA-2: SHA-1 is broken.
    pub fn preferred(&self) -> Preferred {
        let is_sha_1 = |kind: &&Algorithm| matches!(kind, Algorithm::Rsa { hash: None });
        let mut kinds: Vec<Algorithm> =
            Preferred::DEFAULT.key.iter().filter(|kind| !is_sha_1(kind)).cloned().collect();
        kinds.sort_by_key(|kind| !self.keys.iter().any(|key| key.kind() == kind_of_key(kind)));
        Preferred { key: Cow::Owned(kinds), ..Preferred::DEFAULT }
    }
}

/// The type of a key that makes such signatures.
fn kind_of_key(algorithm: &Algorithm) -> &str {
    match algorithm {
        Algorithm::Rsa { .. } => RSA_HOST_KEY,
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::ssh_key::{HashAlg, PublicKey};

    use super::*;

    #[test]
    fn github_is_known_on_both_of_its_ports_by_its_published_fingerprints() {
        for (host, port) in [("github.com", 22), ("ssh.github.com", 443)] {
            let known = Known::of(host, port, &[]).unwrap();
            let fingerprint = |key: &HostKey| {
                PublicKey::from_bytes(key.blob()).unwrap().fingerprint(HashAlg::Sha256).to_string()
            };
            assert_eq!(
                known.keys.iter().map(fingerprint).collect::<Vec<_>>(),
                [
                    "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
                    "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM"
                ]
            );
        }
        for (host, port) in [("github.com", 443), ("github.com.evil.example", 22), ("git.example", 22)] {
            assert_eq!(Known::of(host, port, &[]).err().map(|error| error.code()), Some(Code::HostUnknown));
        }
    }

    #[test]
    fn known_kinds_are_asked_for_first_and_sha_1_never() {
        let kinds = |line: String| -> Vec<String> {
            let known = Known::of("git.example", 22, &[HostKey::try_from(line).unwrap()]).unwrap();
            known.preferred().key.iter().map(|kind| kind.to_string()).collect()
        };
        let ecdsa = kinds(GITHUB[1].replace("github.com,", "git.example,"));
        assert_eq!(ecdsa[0], "ecdsa-sha2-nistp256");
        let blob = [&b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x01"[..], &[0x55; 257]].concat();
        let rsa = kinds(format!("git.example ssh-rsa {}", data_encoding::BASE64.encode(&blob)));
        assert_eq!(rsa[..2], ["rsa-sha2-512", "rsa-sha2-256"]);
        for kinds in [ecdsa, rsa] {
            assert!(
                kinds.contains(&"ssh-ed25519".to_owned()) && !kinds.contains(&RSA_HOST_KEY.to_owned()),
                "{kinds:?}"
            );
        }
    }
}
