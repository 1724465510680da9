//! Which paths of the commit are known. Pure.

use std::collections::BTreeSet;

use crate::facts::{Evidence, Source};

/// The directory of many projects' modules, which is not a package itself.
pub const SRC: &str = "src";

/// The paths of the commit that are known. At a reboot the entries below the root are not known any more; what was read of
/// them is.
pub fn known(source: &Source) -> BTreeSet<&str> {
    let entries = source.entries.iter().map(|entry| entry.path.as_str());
    let read = source.evidence.keys().chain(source.unread.keys()).map(String::as_str);
    entries.chain(read).collect()
}

/// Whether the path is one of them.
pub fn is_known(source: &Source, path: &str) -> bool {
    source.has(path) || matches!(source.evidence_of(path), Evidence::Text(_) | Evidence::Unread(_))
}
