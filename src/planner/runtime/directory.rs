//! Where in a release the service is, if `directory` of the manifest names a directory of the repository. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The service's directory, and what runs in the release's root instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    pub(super) path: Option<String>,
    /// Names of commands that install or build a whole workspace, which is described in the root.
    pub of_the_root: BTreeSet<String>,
    /// Directories of programs of packages that such an installation puts into the root.
    pub programs_of_the_root: Vec<String>,
}

impl Directory {
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    pub(super) fn of(&self, tree: &Path) -> PathBuf {
        self.path.as_ref().map_or_else(|| tree.to_owned(), |path| tree.join(path))
    }
}
