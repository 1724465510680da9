//! What the clean-up after a healthy deployment removes. Data only.

use std::path::PathBuf;

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoundCache {
    pub path: PathBuf,
    pub most_mib: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PruneRuntimes {
    pub runtime: String,
    /// Kept even if no release uses it.
    pub keep: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prune {
    pub releases: PathBuf,
    /// Directories with one record for each release. Those in the first one say that a release is complete.
    pub records: Vec<PathBuf>,
    /// Names of the releases to keep.
    pub keep: Vec<String>,
}

/// A release that is renamed, so that the same commit can be built again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aside {
    pub release: PathBuf,
    /// The record that the release is complete.
    pub record: PathBuf,
    /// The new name, in the same directory as `release`, so that a rename suffices.
    pub aside: PathBuf,
}
