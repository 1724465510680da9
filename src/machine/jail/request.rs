//! What parent and child say to each other: one request, one reply, both JSON and both bounded.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result, SentError};
use crate::facts::{Branch, Commit, CommitPrefix, HostKey, Network};
use crate::machine::blocking;
use crate::machine::git::credential::Credential;
use crate::plan::Checksum;

/// A request is a few paths and a password.
pub const REQUEST_BYTES: u64 = 1 << 20;
/// A reply holds every path of the tree and the evidence.
pub const REPLY_BYTES: u64 = 64 << 20;

/// Fetch one commit of one branch and say what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchRequest {
    pub repository: Repository,
    pub branch: Branch,
    /// A commit that must lie on the branch, instead of the branch's newest, or the beginning of its id.
    pub pinned: Option<CommitPrefix>,
    pub credential: Option<Credential>,
    /// The ssh servers that are known besides GitHub.
    #[serde(default)]
    pub host_keys: Vec<HostKey>,
    /// An existing empty directory: it becomes a bare repository. Unused for a local repository.
    pub scratch: PathBuf,
    #[serde(default)]
    pub network: Network,
    #[serde(default)]
    pub timeouts: Timeouts,
    #[serde(default)]
    pub limits: Limits,
    /// Paths from the root of the tree whose text is wanted, `package.json` or `api/package.json`.
    pub evidence: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repository {
    /// Fetched over https, http or ssh.
    Remote { url: String },
    /// Opened where it is: nothing is fetched.
    Local { path: PathBuf },
}

/// Write a commit's files into a release directory.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckoutRequest {
    /// What `fetch` filled (its scratch), or a local repository.
    pub repository: PathBuf,
    pub commit: Commit,
    /// An existing empty directory of the child's own user.
    pub release: PathBuf,
    #[serde(default)]
    pub limits: Limits,
}

/// Say what stands at an address, if it is a text of at most so many bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DocumentRequest {
    pub address: String,
    pub most: u64,
    pub network: Network,
    pub timeouts: Timeouts,
}

/// Unpack an archive into an existing empty directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchiveRequest {
    pub address: String,
    pub checksum: Checksum,
    pub directory: PathBuf,
    /// What must be in it.
    pub program: PathBuf,
    /// Paths below the archive's top directory that nobody needs.
    pub leave_out: Vec<String>,
    pub network: Network,
    pub timeouts: Timeouts,
}

/// How long a server is waited for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// How long the server may send nothing at all before the transfer is given up.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(15), stall: Duration::from_secs(30) }
    }
}

/// How much a repository may be. Beyond it: `E-SOURCE-TOO-LARGE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Everything that the server sends.
    pub pack_bytes: u64,
    /// Files of the commit, unpacked: a small pack can hold very large files.
    pub tree_bytes: u64,
    /// Files, symlinks and directories.
    pub entries: usize,
    /// One evidence file. A longer one is listed, but its text is left out.
    pub evidence_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pack_bytes: 512 << 20, tree_bytes: 2 << 30, entries: 100_000, evidence_bytes: 4 << 20 }
    }
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply<T> {
    Ok(T),
    Error(Box<SentError>),
}

/// The bytes for a child's stdin, wiped when dropped: they may hold a password.
pub fn encode_request(request: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    // Room from the start: a vector that grows leaves unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    serde_json::to_writer(&mut *bytes, request)
        .map_err(|error| Error::new(Code::Bug, "encoding a child's request", error))?;
    Ok(bytes)
}

/// The same beside the async thread: what a child that was taken over replies may be long.
pub async fn read_reply<T: DeserializeOwned + Send + 'static>(bytes: Vec<u8>) -> Result<T> {
    blocking(move || decode_reply(&bytes)).await
}

/// The bytes from a child's stdout. A reply that is none is a defect of ours, not the operator's.
pub fn decode_reply<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match serde_json::from_slice(bytes) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(error)) => Err(Error::received(*error)),
        Err(error) => Err(Error::new(Code::Bug, "reading a child's reply", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::git::credential::App;
    use crate::secret::Secret;

    fn request() -> FetchRequest {
        FetchRequest {
            repository: Repository::Remote { url: "https://git.example/a.git".into() },
            branch: Branch::try_from("main").unwrap(),
            pinned: None,
            credential: Some(Credential::Password {
                username: "bot".into(),
                password: Secret::new("hunter2"),
            }),
            host_keys: Vec::new(),
            scratch: "/tmp/x".into(),
            network: Network { proxy: Some("http://proxy:3128".try_into().unwrap()), ..Network::default() },
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            evidence: vec!["package.json".into()],
        }
    }

    #[test]
    fn a_password_crosses_the_pipe_and_is_not_shown() {
        let bytes = encode_request(&request()).unwrap();
        let back: FetchRequest = serde_json::from_slice(&bytes).unwrap();
        let Some(Credential::Password { password, .. }) = &back.credential else { panic!("{back:?}") };
        assert_eq!(password.expose(), "hunter2");
        let shown = format!("{back:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("proxy:3128"), "{shown}");
        let app =
            App { app_id: "1".into(), installation_id: "2".into(), private_key: Secret::new("hunter2") };
        for credential in [Credential::App(app), Credential::Key(Secret::new("hunter2"))] {
            let sent = encode_request(&FetchRequest { credential: Some(credential), ..request() }).unwrap();
            let back: FetchRequest = serde_json::from_slice(&sent).unwrap();
            assert!(!format!("{back:?}").contains("hunter2"));
        }
    }

    #[test]
    fn replies_come_back_as_values_and_errors() {
        let ok = serde_json::to_vec(&Reply::Ok(7)).unwrap();
        assert_eq!(decode_reply::<u32>(&ok).unwrap(), 7);
        let nothing = serde_json::to_vec(&Reply::Ok(())).unwrap();
        decode_reply::<()>(&nothing).unwrap();
        let sent = Error::new(Code::BranchMissing, "fetching", "none").sent();
        let error = serde_json::to_vec(&Reply::<u32>::Error(Box::new(sent))).unwrap();
        assert_eq!(decode_reply::<u32>(&error).unwrap_err().code(), Code::BranchMissing);
    }

    #[test]
    fn a_reply_that_is_none_is_a_bug() {
        for bytes in [&b""[..], b"{}", b"panicked at", b"{\"ok\":\"x\"}", b"{\"ok\":1}{"] {
            assert_eq!(decode_reply::<u32>(bytes).unwrap_err().code(), Code::Bug, "{bytes:?}");
        }
    }
}
