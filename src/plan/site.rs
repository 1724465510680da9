//! The action that makes a static site of a release. Data only.

use std::path::PathBuf;

use serde::Serialize;

use crate::secret::Confidential;

/// A link to the directory of a release that is served to everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishSite {
    pub release: PathBuf,
    pub link: PathBuf,
    /// Directories, relative to the release. The first one with an `index.html` is served. A `*` stands for one name.
    pub roots: Vec<String>,
    /// What none of its files may contain.
    pub confidential: Confidential,
}
