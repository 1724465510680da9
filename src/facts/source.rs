//! A fetched commit: the list of its entries, and the text of the files that the planner reads. Plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Branch, Commit, Listing, NameError, SourceCopy};

/// What the planner knows of a commit: which files it has, and the text of the few files that determine how the service
/// is built and started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The repository's address, without a credential; of a dry run perhaps a directory.
    pub repository: String,
    pub branch: Branch,
    pub commit: Commit,
    pub entries: Vec<Entry>,
    /// The directories of a working tree's root, also those without files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
    /// Submodules that no `.gitmodules` describes. git makes an empty directory of each, and so does a release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gitlinks: Vec<String>,
    /// The texts of requested files, by path.
    pub evidence: BTreeMap<String, String>,
    /// Why the text of an existing requested file was not read, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
    /// Whether it is the operator's manifest alone and not a commit of a repository, see [`Source::of_manifest`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_manifest: bool,
    /// Who signed the commit, and with which key, if the policy has signers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The copy of the repository from which it was read, if not from its git server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<SourceCopy>,
    /// Requested files below the root that do not exist. `entries` lists all files of the root, also in records.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub absent: BTreeSet<String>,
    /// Of which directories `entries` is complete.
    #[serde(default, skip_serializing_if = "Listing::is_root_only")]
    pub listing: Listing,
}

/// The operator's manifest of a service that has no repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnManifest {
    pub path: String,
    pub text: String,
}

impl OwnManifest {
    /// Its name in a [`Source`].
    pub const NAME: &str = "bootagent.toml";
}

/// What is known of one file's text. `Absent` and `NeverAsked` differ, because the record of an older agent lacks files
/// that a newer one requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence<'a> {
    Text(&'a str),
    /// It exists, and this is why its text was not read.
    Unread(&'a str),
    Absent,
    NeverAsked,
}

/// In front of the path of an evidence file: only its beginning is read. A lockfile may be large, and its first lines tell
/// its format.
pub const HEAD: &str = "head:";
const HEAD_BYTES: usize = 1024;

/// The path of the file that a request is for, without `HEAD`.
pub fn requested(request: &str) -> &str {
    request.strip_prefix(HEAD).unwrap_or(request)
}

/// The limit for one evidence file, in bytes. A longer file is not read: every boot reads all recorded texts again.
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
    /// The source of a service without a repository: the operator's manifest. Its path stands for the repository, and a
    /// digest of its text for the commit, so that records, `bootagent status` and a rollback work as for a commit.
    pub fn of_manifest(manifest: &OwnManifest, branch: Branch) -> Result<Source, NameError> {
        let digest = Sha256::digest(&manifest.text);
        let digest: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        Ok(Source {
            repository: manifest.path.clone(),
            branch,
            commit: Commit::try_from(digest)?,
            entries: vec![Entry { path: OwnManifest::NAME.to_owned(), kind: EntryKind::File }],
            directories: Vec::new(),
            gitlinks: Vec::new(),
            evidence: [(OwnManifest::NAME.to_owned(), manifest.text.clone())].into(),
            unread: BTreeMap::new(),
            is_manifest: true,
            signed_by: None,
            copy: None,
            absent: BTreeSet::new(),
            listing: Listing::default(),
        })
    }

    /// Repository and commit for an error; only the repository for a directory without git, whose commit is all zeros.
    pub fn named(&self) -> String {
        if let Some(directory) = self.directory() {
            return format!("{directory} of {}", self.whole().named());
        }
        match self.commit.as_str().bytes().all(|digit| digit == b'0') {
            true => self.repository.clone(),
            false => format!("{} at {}", self.repository, self.commit.short()),
        }
    }

    pub fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| entry.path == path)
    }

    /// Whether the root has a directory of this name.
    pub fn has_directory(&self, name: &str) -> bool {
        let below = |entry: &Entry| entry.path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        self.directories.iter().any(|directory| directory == name) || self.entries.iter().any(below)
    }

    /// Adds the text of a requested file (`longest` is its limit in bytes), or why it was not read.
    pub fn record<E>(
        &mut self,
        path: &str,
        (kind, size): (EntryKind, u64),
        longest: u64,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let is_head = path.starts_with(HEAD);
        let text = match () {
            () if kind == EntryKind::Symlink => Err("it is a symbolic link".to_owned()),
            () if is_head => Ok(head(read()?)),
            () if size > longest => Err(format!("it has {size} bytes, and the limit is {longest}")),
            () => decoded(read()?).ok_or_else(|| "it is not UTF-8 text".to_owned()),
        };
        match text {
            Ok(text) => self.evidence.insert(path.to_owned(), text),
            Err(why) => self.unread.insert(path.to_owned(), why),
        };
        Ok(())
    }

    /// Adds a requested file that does not exist.
    pub fn miss(&mut self, path: &str) {
        if path.contains('/') {
            self.absent.insert(path.to_owned());
        }
    }

    pub fn evidence_of(&self, path: &str) -> Evidence<'_> {
        let is_absent = match path.contains('/') {
            true => self.absent.contains(path),
            false => !self.has(requested(path)),
        };
        match (self.text(path), self.unread.get(path)) {
            (Some(text), _) => Evidence::Text(text),
            (None, Some(why)) => Evidence::Unread(why),
            (None, None) if is_absent => Evidence::Absent,
            (None, None) => Evidence::NeverAsked,
        }
    }

    /// The text of a file that must be readable if it exists; `None` if it does not exist, or was not requested.
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

fn head(mut bytes: Vec<u8>) -> String {
    bytes.truncate(HEAD_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text of a file in UTF-8, or in UTF-16 with a byte order mark, as PowerShell writes it.
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
            gitlinks: Vec::new(),
            evidence: BTreeMap::new(),
            unread: BTreeMap::new(),
            is_manifest: false,
            signed_by: None,
            copy: None,
            absent: BTreeSet::new(),
            listing: Listing::default(),
        }
    }

    fn taken(bytes: &[u8]) -> Source {
        let mut source = source();
        source.record("setup.py", (EntryKind::File, 1), 10, || Ok::<_, ()>(bytes.to_vec())).unwrap();
        source
    }

    #[test]
    fn an_absent_file_differs_from_one_that_was_not_requested() {
        let mut source = source();
        assert_eq!(source.evidence_of("setup.py"), Evidence::NeverAsked);
        assert_eq!(source.evidence_of("Pipfile"), Evidence::Absent);
        assert_eq!(source.evidence_of("api/Pipfile"), Evidence::NeverAsked);
        source.miss("api/Pipfile");
        source.miss("Pipfile");
        assert_eq!(source.evidence_of("api/Pipfile"), Evidence::Absent);
        // Records have the list; those of the first version lack it.
        let text = serde_json::to_string(&source.root()).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&text).unwrap(), source);
        let text = text.replace(",\"absent\":[\"api/Pipfile\"]", "");
        let of_old: Source = serde_json::from_str(&text).unwrap();
        assert_eq!(of_old.evidence_of("api/Pipfile"), Evidence::NeverAsked);
    }

    #[test]
    fn a_manifest_is_a_source_whose_commit_is_its_digest() {
        let of = |text: &str| {
            let manifest = OwnManifest { path: "/etc/x.toml".to_owned(), text: text.to_owned() };
            Source::of_manifest(&manifest, Branch::try_from("main").unwrap()).unwrap()
        };
        let source = of("runtime = \"redis\"\n");
        assert_eq!(source.text("bootagent.toml"), Some("runtime = \"redis\"\n"));
        assert_eq!(source.commit, of("runtime = \"redis\"\n").commit);
        assert_ne!(source.commit, of("runtime = \"redis\" \n").commit);
        let text = serde_json::to_string(&source.root()).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&text).unwrap(), source);
        // Records of a repository's commit do not change.
        assert!(!serde_json::to_string(&super::super::testing::source(&[])).unwrap().contains("is_manifest"));
    }

    #[test]
    fn of_a_long_file_only_the_beginning_is_read_if_that_was_requested() {
        let mut source = source();
        let long = || Ok::<_, ()>(b"lockfileVersion: '9.0'\n".repeat(1000));
        source.record("head:setup.py", (EntryKind::File, 23_000), 10, long).unwrap();
        let Evidence::Text(text) = source.evidence_of("head:setup.py") else { panic!("not read") };
        assert!(text.len() == 1024 && text.starts_with("lockfileVersion"));
        assert_eq!(source.evidence_of("head:Pipfile"), Evidence::Absent);
        source.record("setup.py", (EntryKind::File, 23_000), 10, long).unwrap();
        assert!(matches!(source.evidence_of("setup.py"), Evidence::Unread(_)));
    }

    #[test]
    fn text_is_read_in_utf_8_and_in_utf_16_with_a_byte_order_mark() {
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
