//! Sources for unit tests.

use super::{Branch, Commit, Entry, EntryKind, HEAD, Listing, Source};

/// A commit with these files, whose texts and beginnings were all read.
pub fn source(files: &[(&str, &str)]) -> Source {
    let entry = |(path, _): &(&str, &str)| Entry { path: (*path).to_owned(), kind: EntryKind::File };
    let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let heads = files.iter().map(|(path, text)| (format!("{HEAD}{path}"), (*text).to_owned()));
    Source {
        repository: "https://git.test/x.git".to_owned(),
        branch: Branch::try_from("main").unwrap(),
        commit: Commit::try_from("0".repeat(40)).unwrap(),
        entries: files.iter().map(entry).collect(),
        directories: Vec::new(),
        evidence: texts.chain(heads).collect(),
        unread: Default::default(),
        is_manifest: false,
        signed_by: None,
        copy: None,
        absent: Default::default(),
        listing: Listing::whole(),
        gitlinks: Default::default(),
    }
}
