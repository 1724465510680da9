//! Verifies who signed a commit: an ssh signature, as `git commit -S` with `gpg.format = ssh` makes it. Runs in the child
//! that fetches, before anything of the commit's tree is read.
//!
//! OpenPGP and X.509 signatures are not read, and count as none.

use git2::{Oid, Repository};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

use crate::error::{Code, Error, Result};
use crate::facts::{NAMESPACE, Signer, Validity};
use crate::secret::{ForeignText, Message};

/// The header of a signature in a repository whose objects are named by SHA-1.
const HEADER: &str = "gpgsig";
/// In bytes. A signature with an RSA key of 16384 bits has 6 KB.
const LONGEST: usize = 16 << 10;

/// Fails unless one of these keys signed the commit; gives the signer's principal and key. Without signers, any commit is
/// accepted.
pub fn verify(repository: &Repository, commit: Oid, signers: &[Signer]) -> Result<Option<String>> {
    if signers.is_empty() {
        return Ok(None);
    }
    let doing = || format!("verifying the signature of commit {commit}");
    let unread = |error: git2::Error| Error::new(Code::Io, doing(), ForeignText::message(error.message()));
    let odb = repository.odb().map_err(unread)?;
    let object = odb.read(commit).map_err(unread)?;
    signed_by(object.data(), signers).map(Some).map_err(|refusal| refusal.error(doing()))
}

/// Why a commit is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// What it has in place of an ssh signature.
    Unsigned(&'static str),
    /// The fingerprint of the key.
    NotListed(String),
    Expired(String),
    NotYetValid(String),
    Namespace(Message),
    /// What is wrong with the signature.
    Bad(&'static str),
}

impl Refusal {
    fn error(self, doing: String) -> Error {
        let signer = |cause: String| Error::new(Code::CommitSigner, doing.clone(), cause);
        match self {
            Refusal::Unsigned(cause) => Error::new(Code::CommitUnsigned, doing, cause),
            Refusal::NotListed(key) => {
                signer(format!("it is signed with the key {key}, which is not in git.signers of the policy"))
            }
            Refusal::Expired(key) => signer(format!(
                "it is signed with the key of {key} at or after the time valid-before of that key in git.signers of the policy"
            )),
            Refusal::NotYetValid(key) => signer(format!(
                "it is signed with the key of {key} before the time valid-after of that key in git.signers of the policy"
            )),
            Refusal::Namespace(name) => {
                let cause =
                    Message::from("it has a signature for another purpose: its namespace is ").and(name);
                Error::new(Code::CommitSignature, doing, cause.and(format!(", not {NAMESPACE}")))
            }
            Refusal::Bad(cause) => Error::new(Code::CommitSignature, doing, cause),
        }
    }
}

/// The principal and the key's fingerprint.
fn signed_by(commit: &[u8], signers: &[Signer]) -> Result<String, Refusal> {
    let Signed { payload, signature } = split(commit)?;
    let text = std::str::from_utf8(&signature).map_err(|_| Refusal::Bad("the signature is not text"))?;
    if text.trim_start().starts_with("-----BEGIN PGP") {
        return Err(Refusal::Unsigned("it has an OpenPGP signature; only ssh signatures are accepted"));
    }
    if text.trim_start().starts_with("-----BEGIN SIGNED MESSAGE") {
        return Err(Refusal::Unsigned("it has an X.509 signature; only ssh signatures are accepted"));
    }
    let signature = SshSig::from_pem(text.trim())
        .map_err(|_| Refusal::Bad("it has a signature that is not in the format of ssh-keygen -Y sign"))?;
    if signature.namespace() != NAMESPACE {
        return Err(Refusal::Namespace(ForeignText::message(signature.namespace()).into()));
    }
    let key = PublicKey::from(signature.public_key().clone());
    let fingerprint = format!("{} {}", key.algorithm().as_str(), key.fingerprint(HashAlg::Sha256));
    let blob = key.to_bytes().map_err(|_| Refusal::Bad("the signature's key cannot be read"))?;
    let listed: Vec<&Signer> = signers.iter().filter(|signer| signer.blob() == blob).collect();
    let Some(first) = listed.first() else { return Err(Refusal::NotListed(fingerprint)) };
    // A signature of SHA-1, which is broken, has the algorithm's plain name.
    if matches!(signature.algorithm(), Algorithm::Rsa { hash: None }) {
        return Err(Refusal::Bad("the signature uses SHA-1, which is broken"));
    }
    if is_of_another_kind(signature.public_key(), &signature.algorithm()) {
        return Err(Refusal::Bad("the signature's algorithm is not that of its key"));
    }
    key.verify(NAMESPACE, &payload, &signature).map_err(|_| {
        Refusal::Bad("the signature is not of this commit: the commit was changed after it was signed")
    })?;
    let time = committed(&payload).ok_or(Refusal::Bad("the commit has no time"))?;
    let named = |signer: &Signer| format!("{} ({fingerprint})", signer.principal());
    match listed.iter().find(|signer| signer.validity(time) == Validity::Valid) {
        Some(signer) => Ok(named(signer)),
        None if first.validity(time) == Validity::NotYet => Err(Refusal::NotYetValid(named(first))),
        None => Err(Refusal::Expired(named(first))),
    }
}

fn is_of_another_kind(key: &KeyData, algorithm: &Algorithm) -> bool {
    match algorithm {
        Algorithm::Rsa { .. } => key.rsa().is_none(),
        other => key.algorithm() != *other,
    }
}

/// A commit without its signature, which is what was signed, and the signature.
#[derive(Debug)]
struct Signed {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// As git does it: without the header `gpgsig` and every other whose name begins so, such as `gpgsig-sha256`, which is the
/// signature of the same commit with names by SHA-256. The message is all after the first empty line.
fn split(commit: &[u8]) -> Result<Signed, Refusal> {
    let (mut payload, mut signature) = (Vec::with_capacity(commit.len()), Vec::new());
    let (mut found, mut other, mut within) = (0, false, Header::Other);
    let mut rest = commit;
    while !rest.is_empty() {
        if rest.starts_with(b"\n") {
            payload.extend_from_slice(rest);
            break;
        }
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, more) = rest.split_at(end);
        rest = more;
        let continued = line.strip_prefix(b" ");
        if continued.is_none() {
            within = header(line);
        }
        match (within, continued) {
            (Header::Other, _) => payload.extend_from_slice(line),
            (Header::Signature, Some(line)) => signature.extend_from_slice(line),
            (Header::Signature, None) => {
                found += 1;
                signature.extend_from_slice(&line[HEADER.len() + 1..]);
            }
            (Header::OfAnotherName, _) => other = true,
        }
    }
    match found {
        1 if signature.len() <= LONGEST => Ok(Signed { payload, signature }),
        1 => Err(Refusal::Bad("its signature is longer than 16 KiB")),
        0 if other => Err(Refusal::Unsigned(
            "it has only a signature for its name by SHA-256 (gpgsig-sha256), and this repository's names are by SHA-1",
        )),
        0 => Err(Refusal::Unsigned("it is not signed")),
        _ => Err(Refusal::Bad("it has more than one signature")),
    }
}

/// Which header a line of a commit belongs to.
#[derive(Clone, Copy, Debug)]
enum Header {
    Signature,
    /// A signature for names by another hash.
    OfAnotherName,
    Other,
}

fn header(line: &[u8]) -> Header {
    match line.strip_prefix(HEADER.as_bytes()) {
        Some([b' ', ..]) => Header::Signature,
        Some(_) => Header::OfAnotherName,
        None => Header::Other,
    }
}

/// The time of the line `committer NAME <ADDRESS> SECONDS ZONE`.
fn committed(payload: &[u8]) -> Option<u64> {
    let mut lines = payload.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let line = lines.find_map(|line| line.strip_prefix(b"committer "))?;
    let after = line.iter().rposition(|byte| *byte == b'>')?;
    std::str::from_utf8(&line[after + 1..]).ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(commit: &str) -> (String, String) {
        let Signed { payload, signature } = split(commit.as_bytes()).unwrap();
        (String::from_utf8(payload).unwrap(), String::from_utf8(signature).unwrap())
    }

    #[test]
    fn the_payload_is_the_commit_without_its_signatures() {
        let commit = "tree 1\ngpgsig-sha256 -----B\n x\n -----E\nauthor a\ngpgsig -----BEGIN\n abc\n \n -----END\nencoding x\n\n\
                      gpgsig not a header\n and text";
        let (payload, signature) = parts(commit);
        assert_eq!(payload, "tree 1\nauthor a\nencoding x\n\ngpgsig not a header\n and text");
        assert_eq!(signature, "-----BEGIN\nabc\n\n-----END\n");
    }

    #[test]
    fn a_commit_without_exactly_one_signature_is_refused() {
        let refusal = |commit: &str| split(commit.as_bytes()).unwrap_err();
        for unsigned in ["", "tree 1\n\ngpgsig x\n", "tree 1\n gpgsig x\n\n", "tree 1\ngpgsig-sha256 x\n\n"] {
            assert!(matches!(refusal(unsigned), Refusal::Unsigned(_)), "{unsigned:?}");
        }
        let twice = "tree 1\ngpgsig a\nauthor b\ngpgsig c\n\nm";
        assert_eq!(refusal(twice), Refusal::Bad("it has more than one signature"));
        let long = format!("tree 1\ngpgsig {}\n\nm", "x".repeat(LONGEST));
        assert!(matches!(refusal(&long), Refusal::Bad(_)));
    }

    #[test]
    fn the_time_is_the_committers() {
        let commit = b"tree 1\nauthor A <a@b> 5 +0000\ncommitter C > <c@d> 1700000000 +0100\n\ncommitter x <y> 1 +0000\n";
        assert_eq!(committed(commit), Some(1_700_000_000));
        assert_eq!(committed(b"tree 1\n\ncommitter x <y> 1 +0000\n"), None);
    }
}
