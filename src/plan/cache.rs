//! The release cache: finished releases, which an instance takes in place of building the same one, and the archives of a
//! lockfile's packages, for a commit that no instance has built yet. Data only.

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

/// The archives of the packages that one lockfile names, and their entry in the cache: for the step that takes them from it before
/// an installation, and for the one that stores them after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CachedPackages {
    /// SHA-256 in hexadecimal over what determines, besides the lockfile, which archives are installed. With the lockfile's bytes
    /// it gives the entry's key.
    pub recipe: String,
    /// The first of these files that exists is the lockfile.
    pub lockfiles: Vec<PathBuf>,
    /// Whether the installation has no packages for development.
    pub omits_development: bool,
    /// The package manager's cache, whose archives the installation verifies by the hashes in the lockfile.
    pub cache: PathBuf,
    /// The directory above it that the build user owns.
    pub writable: PathBuf,
    pub release: PathBuf,
    /// The record that the release is finished: then nothing is installed.
    pub record: PathBuf,
    /// The build user.
    pub user: String,
    /// The transient unit that packs or unpacks.
    pub unit: String,
    /// The directory of the machine's image with entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<PathBuf>,
    /// With the folder in place of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<CacheObject>,
}

impl CachedPackages {
    /// The name of the entry with this key.
    pub fn name(key: &str) -> String {
        format!("{key}.packages")
    }
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
