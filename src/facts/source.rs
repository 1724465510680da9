use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Branch, Commit};

/// A commit of the service's repository, as far as anybody must know it to plan: which files there
/// are, and the text of the few that tell how the service is built and started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it came from, without any credential.
    pub repository: String,
    pub branch: Branch,
    pub commit: Commit,
    pub entries: Vec<Entry>,
    /// Path to text. Only files that somebody asked for, that are there, and that are short enough.
    pub evidence: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub path: String,
    pub kind: EntryKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    File,
    Executable,
    Symlink,
}

impl Source {
    pub fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| entry.path == path)
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.evidence.get(path).map(String::as_str)
    }
}
