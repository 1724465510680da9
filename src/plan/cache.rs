//! The release cache: finished releases, which an instance takes in place of building the same one. Data only.

use std::path::PathBuf;

use serde::Serialize;

use super::fleet::FleetAccess;
use crate::facts::S3Object;

/// A release and its entry in the cache. It is used by the step that restores it, and by the one that stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CachedRelease {
    /// SHA-256 in hexadecimal over all that determines the bytes of the release.
    pub key: String,
    pub release: PathBuf,
    /// The record that the release is finished.
    pub record: PathBuf,
    /// The build user: owner of the files.
    pub user: String,
    /// Group that may enter the release directory.
    pub group: String,
    /// The transient unit that packs or unpacks it.
    pub unit: String,
    /// What the release uses, which must stay as long as it does.
    pub uses: Vec<PathBuf>,
    /// Names the release that is built again in this boot: no entry is taken for it.
    pub rebuilt: PathBuf,
    /// Paths in the release that each instance makes by itself, such as the link to `.env`.
    pub leave_out: Vec<PathBuf>,
    /// The entry in the machine's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<CacheObject>,
}

/// The entry in S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheObject {
    pub at: S3Object,
    /// Name of the secret with the key that authenticates entries.
    pub secret: String,
    #[serde(flatten)]
    pub access: FleetAccess,
}
