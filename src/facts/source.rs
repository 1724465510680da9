//! A commit as it was fetched: its entries and the text of the files that plans are made of. Plain data.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Path to text. Only files that were asked for, that are there, and that are short enough.
    pub evidence: BTreeMap<String, String>,
    /// Path to why its text is not known, of files that were asked for and that are there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
    /// Files below the root that were asked for and are not there. Of the root itself `entries` tells it, in records, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub absent: BTreeSet<String>,
}

/// What is known of one file's text. A record of an older agent does not have what a newer one asks for: that a file is
/// not there, and that its text was never asked for, are two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence<'a> {
    Text(&'a str),
    /// It is there, and this is why its text is not known.
    Unread(&'a str),
    Absent,
    NeverAsked,
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

    /// Takes in a file that was asked for, or why its text is not to be had.
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
            () => decoded(read()?).ok_or_else(|| "it is not UTF-8 text".to_owned()),
        };
        match text {
            Ok(text) => self.evidence.insert(path.to_owned(), text),
            Err(why) => self.unread.insert(path.to_owned(), why),
        };
        Ok(())
    }

    /// Takes in that a file that was asked for is not there.
    pub fn miss(&mut self, path: &str) {
        if path.contains('/') {
            self.absent.insert(path.to_owned());
        }
    }

    pub fn evidence_of(&self, path: &str) -> Evidence<'_> {
        let is_absent = match path.contains('/') {
            true => self.absent.contains(path),
            false => !self.has(path),
        };
        match (self.text(path), self.unread.get(path)) {
            (Some(text), _) => Evidence::Text(text),
            (None, Some(why)) => Evidence::Unread(why),
            (None, None) if is_absent => Evidence::Absent,
            (None, None) => Evidence::NeverAsked,
        }
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

/// UTF-8, or UTF-16 as PowerShell writes it, which says so in its first two bytes.
fn decoded(bytes: Vec<u8>) -> Option<String> {
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2))
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            repository: "https://git.test/x.git".to_owned(),
            branch: Branch::try_from("main").unwrap(),
            commit: Commit::try_from("0".repeat(40)).unwrap(),
            entries: vec![Entry { path: "setup.py".to_owned(), kind: EntryKind::File }],
            directories: Vec::new(),
            evidence: BTreeMap::new(),
            unread: BTreeMap::new(),
            absent: BTreeSet::new(),
        }
    }

    fn taken(bytes: &[u8]) -> Source {
        let mut source = source();
        source.record("setup.py", (EntryKind::File, 1), 10, || Ok::<_, ()>(bytes.to_vec())).unwrap();
        source
    }

    #[test]
    fn a_file_that_is_not_there_is_told_from_one_that_was_never_asked_for() {
        let mut source = source();
        assert_eq!(source.evidence_of("setup.py"), Evidence::NeverAsked);
        assert_eq!(source.evidence_of("Pipfile"), Evidence::Absent);
        assert_eq!(source.evidence_of("api/Pipfile"), Evidence::NeverAsked);
        source.miss("api/Pipfile");
        source.miss("Pipfile");
        assert_eq!(source.evidence_of("api/Pipfile"), Evidence::Absent);
        // A record has it, too, and one of the first version has none of it.
        let text = serde_json::to_string(&source.root()).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&text).unwrap(), source);
        let text = text.replace(",\"absent\":[\"api/Pipfile\"]", "");
        let of_old: Source = serde_json::from_str(&text).unwrap();
        assert_eq!(of_old.evidence_of("api/Pipfile"), Evidence::NeverAsked);
    }

    #[test]
    fn text_is_read_in_utf_8_and_in_utf_16_with_its_mark() {
        for bytes in [&b"22"[..], b"\xff\xfe2\x002\x00", b"\xfe\xff\x002\x002"] {
            assert_eq!(taken(bytes).evidence_of("setup.py"), Evidence::Text("22"), "{bytes:?}");
        }
        for bytes in [&b"\xe9"[..], b"\xff\xfe2\x002", b"\xff\xfe\x00\xd8"] {
            assert_eq!(
                taken(bytes).evidence_of("setup.py"),
                Evidence::Unread("it is not UTF-8 text"),
                "{bytes:?}"
            );
        }
    }
}
