//! Where in a release the service is, if `directory` of the manifest names a directory of the repository. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::recipe::{Kind, Recipe};

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

    fn of(&self, tree: &Path) -> PathBuf {
        self.path.as_ref().map_or_else(|| tree.to_owned(), |path| tree.join(path))
    }
}

impl Recipe {
    /// The service's directory in this tree: a release, or `current`.
    pub fn tree(&self, tree: &Path) -> PathBuf {
        self.directory.of(tree)
    }

    /// The directory that a command of the build runs in.
    pub fn tree_of(&self, work: &str, release: &Path) -> PathBuf {
        match self.directory.of_the_root.contains(work) {
            true => release.to_owned(),
            false => self.tree(release),
        }
    }

    /// A recipe that was made as if the directory were the root: its paths become those of the release.
    pub(super) fn moved(mut self, directory: Option<&str>) -> Recipe {
        let Some(directory) = directory else { return self };
        let below = |path: &String| match path.as_str() {
            "." => directory.to_owned(),
            path => format!("{directory}/{path}"),
        };
        self.programs = self.programs.iter().map(below).collect();
        self.programs.append(&mut self.directory.programs_of_the_root);
        if let Kind::Site(site) = &mut self.kind {
            site.roots = site.roots.iter().map(below).collect();
        }
        self.directory.path = Some(directory.to_owned());
        self
    }
}
