//! What differs between a working tree and its last commit, which is what a boot takes. Plain data.

use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Paths that were changed, added or removed since the commit, without those that git ignores. A directory of new
    /// files is one path.
    pub changed: BTreeSet<String>,
    /// Of the root, files that the commit does not have: new ones, and those that git ignores.
    pub absent: BTreeSet<String>,
    /// Those of them that git ignores.
    pub ignored: BTreeSet<String>,
}
