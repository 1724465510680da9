//! A commit as it was fetched: its entries and the text of the files that plans are made of. Plain data.

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
    /// Of a working tree, whose entries are those of its root: the directories in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
    /// Path to text. Only files that somebody asked for, that are there, and that are short enough.
    pub evidence: BTreeMap<String, String>,
    /// Path to why its text is not known, of files that somebody asked for and that are there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
}

/// One evidence file: what is longer is no manifest. It is recorded, and read again at each boot.
pub const LONGEST_EVIDENCE: u64 = 256 << 10;

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
    /// Where it is from, for an error: files that no commit holds (a directory that is checked without git) have none.
    pub fn named(&self) -> String {
        match self.commit.as_str().bytes().all(|digit| digit == b'0') {
            true => self.repository.clone(),
            false => format!("{} at {}", self.repository, self.commit.short()),
        }
    }

    /// What is kept of it for later plans: its root and its evidence.
    pub fn root(&self) -> Source {
        let entries = self.entries.iter().filter(|entry| !entry.path.contains('/')).cloned().collect();
        Source { entries, ..self.clone() }
    }

    pub fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| entry.path == path)
    }

    /// Whether the root has a directory of this name.
    pub fn has_directory(&self, name: &str) -> bool {
        let below = |entry: &Entry| entry.path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        self.directories.iter().any(|directory| directory == name) || self.entries.iter().any(below)
    }

    /// Takes in a file that somebody asked for, or why its text is not to be had.
    pub fn record<E>(
        &mut self,
        path: &str,
        (kind, size): (EntryKind, u64),
        longest: u64,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let text = match () {
            () if kind == EntryKind::Symlink => Err("it is a symbolic link".to_owned()),
            () if size > longest => Err(format!("it has {size} bytes, and the limit is {longest}")),
            () => String::from_utf8(read()?).map_err(|_| "it is no UTF-8 text".to_owned()),
        };
        match text {
            Ok(text) => self.evidence.insert(path.to_owned(), text),
            Err(why) => self.unread.insert(path.to_owned(), why),
        };
        Ok(())
    }

    /// The text of a file that cannot be done without; `None` if there is no such file.
    pub fn read(&self, path: &str) -> Result<Option<&str>, &str> {
        match (self.text(path), self.unread.get(path)) {
            (Some(text), _) => Ok(Some(text)),
            (None, Some(why)) => Err(why),
            (None, None) => Ok(None),
        }
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.evidence.get(path).map(String::as_str)
    }
}
