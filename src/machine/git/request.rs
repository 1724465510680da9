//! Requests to the child processes that read repositories: JSON on stdin.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::credential::Credential;
use crate::facts::{Branch, Commit, CommitPrefix, HostKey, Network, Signer};
use crate::machine::jail::request::Timeouts;

/// Fetch one commit of one branch and list its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchRequest {
    pub repository: Repository,
    pub branch: Branch,
    /// The id, or its beginning, of a commit that must be on the branch; `None` for the branch's newest.
    pub pinned: Option<CommitPrefix>,
    pub credential: Option<Credential>,
    /// Keys of ssh servers, from the policy. GitHub's are built in.
    #[serde(default)]
    pub host_keys: Vec<HostKey>,
    /// Keys that may sign commits, from the policy. If there is one, a commit that none of them signed is refused.
    #[serde(default)]
    pub signers: Vec<Signer>,
    /// Whether submodules are fetched; otherwise a commit that has any is refused.
    #[serde(default = "yes")]
    pub submodules: bool,
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

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repository {
    /// Fetched over https, http or ssh.
    Remote { url: String },
    /// Opened where it is: nothing is fetched.
    Local { path: PathBuf },
    /// Unpacked from a file: a git bundle. `name` is where the file came from, for messages.
    Bundle { path: PathBuf, name: String },
}

/// Write a commit's files into a release directory.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckoutRequest {
    /// The scratch directory of a fetch, or a local repository.
    pub repository: PathBuf,
    pub commit: Commit,
    /// An existing empty directory that the child's user owns.
    pub release: PathBuf,
    #[serde(default)]
    pub limits: Limits,
}

/// Limits for a repository. Above one of them: `E-SOURCE-TOO-LARGE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// All bytes that the server sends.
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
        Limits { pack_bytes: 1 << 30, tree_bytes: 2 << 30, entries: 120_000, evidence_bytes: 4 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::git::credential::App;
    use crate::machine::jail::request::encode_request;
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
            signers: Vec::new(),
            submodules: true,
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
}
