//! The action that lets a service change parts of its release. Data only.

use std::path::PathBuf;

use serde::Serialize;

/// Gives paths of a release, with all that is in them, to the service's user. One that is absent becomes an empty directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GiveToService {
    pub paths: Vec<PathBuf>,
    /// The build user: what belongs to others is not given.
    pub from: String,
    pub to: String,
    pub release: PathBuf,
    /// If this record exists, the release is complete, and the paths are the service's.
    pub record: PathBuf,
}
