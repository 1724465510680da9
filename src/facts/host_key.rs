//! A git server's ssh host key, in the form of a line of known_hosts.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::names::NameError;

/// The accepted key types. Azure DevOps and CodeCommit have an RSA key only.
const KINDS: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", RSA_HOST_KEY];
/// The type of an RSA key. Signatures of SHA-1 have the same name: `git/ssh/hosts.rs` asks for others.
pub const RSA_HOST_KEY: &str = "ssh-rsa";
/// The encoding of an RSA key with 2048 bits and the usual exponent. Shorter keys can be factored.
const SHORTEST_RSA: usize = 4 + RSA_HOST_KEY.len() + 4 + 3 + 4 + 257;

/// `host ssh-ed25519 AAAA...`, or `[host]:port` for another port than 22.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostKey {
    hosts: Vec<(String, u16)>,
    kind: String,
    blob: Vec<u8>,
}

impl HostKey {
    pub fn is_of(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|(name, at)| name.eq_ignore_ascii_case(host) && *at == port)
    }

    /// The key's algorithm, by its ssh name.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The public key in the encoding of ssh's wire protocol.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    fn read(line: &str) -> Result<HostKey, &'static str> {
        let mut words = line.split_ascii_whitespace();
        let (Some(hosts), Some(kind), Some(key)) = (words.next(), words.next(), words.next()) else {
            return Err("it does not have a host, a key type and a key");
        };
        if hosts.starts_with('@') {
            return Err("markers (@cert-authority, @revoked) are not supported");
        }
        let hosts = hosts.split(',').map(host).collect::<Result<_, _>>()?;
        if !KINDS.contains(&kind) {
            return Err(
                "this key type is not supported: use the server's ssh-ed25519, ecdsa-sha2-nistp256 or ssh-rsa key",
            );
        }
        let blob = BASE64.decode(key.as_bytes()).map_err(|_| "its key is not base64")?;
        if kind == RSA_HOST_KEY && blob.len() < SHORTEST_RSA {
            return Err("its RSA key has less than 2048 bits");
        }
        let named = (blob.len() > 4 + kind.len()).then(|| &blob[4..4 + kind.len()]);
        match named == Some(kind.as_bytes()) {
            true => Ok(HostKey { hosts, kind: kind.to_owned(), blob }),
            false => Err("its key is not of the type that the line names"),
        }
    }
}

fn host(name: &str) -> Result<(String, u16), &'static str> {
    let (name, port) = match name.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once("]:").ok_or("its port is not written [host]:port")?;
            (name, port.parse().map_err(|_| "its port is not a number")?)
        }
        None => (name, 22),
    };
    if name.starts_with('|') {
        return Err("hashed host names are not supported: write the name");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err("its host is not a plain name (no patterns)");
    }
    Ok((name.to_owned(), port))
}

impl TryFrom<String> for HostKey {
    type Error = NameError;

    fn try_from(line: String) -> Result<Self, NameError> {
        HostKey::read(&line).map_err(|why| NameError::of(&line, &format!("a known_hosts line ({why})")))
    }
}

impl From<HostKey> for String {
    fn from(key: HostKey) -> String {
        let name = |(name, port): &(String, u16)| match port {
            22 => name.clone(),
            port => format!("[{name}]:{port}"),
        };
        let hosts: Vec<String> = key.hosts.iter().map(name).collect();
        format!("{} {} {}", hosts.join(","), key.kind, BASE64.encode(&key.blob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    fn read(line: &str) -> Result<HostKey, NameError> {
        HostKey::try_from(line.to_owned())
    }

    #[test]
    fn a_line_names_hosts_and_ports() {
        let key = read(&format!("git.example,[Git.example]:2222 ssh-ed25519 {KEY} a comment")).unwrap();
        assert!(key.is_of("git.example", 22) && key.is_of("GIT.example", 2222));
        assert!(!key.is_of("git.example", 443) && !key.is_of("example", 22));
        assert_eq!((key.kind(), key.blob().len()), ("ssh-ed25519", 51));
        let line = String::from(key.clone());
        assert_eq!(line, format!("git.example,[Git.example]:2222 ssh-ed25519 {KEY}"));
        assert_eq!(read(&line).unwrap(), key);
    }

    #[test]
    fn an_rsa_key_has_at_least_2048_bits() {
        let line = |modulus: usize| {
            let string =
                |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
            let blob = [string(b"ssh-rsa"), string(&[1, 0, 1]), string(&vec![0x55; modulus])].concat();
            read(&format!("git.example ssh-rsa {}", BASE64.encode(&blob)))
        };
        assert_eq!(line(257).unwrap().kind(), "ssh-rsa");
        assert!(line(129).is_err());
    }

    #[test]
    fn a_line_that_does_not_pin_one_server_is_refused() {
        for line in [
            String::new(),
            "git.example".to_owned(),
            format!("git.example {KEY}"),
            format!("*.example ssh-ed25519 {KEY}"),
            format!("!git.example ssh-ed25519 {KEY}"),
            format!("|1|abc=|def= ssh-ed25519 {KEY}"),
            format!("[git.example] ssh-ed25519 {KEY}"),
            format!("[git.example]:x ssh-ed25519 {KEY}"),
            format!("@cert-authority git.example ssh-ed25519 {KEY}"),
            format!("git.example ecdsa-sha2-nistp256 {KEY}"),
            "git.example ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ==".to_owned(),
            "git.example ssh-ed25519 ???".to_owned(),
            "git.example ssh-ed25519 AAAA".to_owned(),
        ] {
            assert!(read(&line).is_err(), "{line} was accepted");
        }
    }
}
