//! Writes to the fleet memory: objects of S3 that the instances of a group share. Data only.

use serde::Serialize;

use crate::facts::{Branch, Commit, Network, S3Object};

/// How S3 is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetAccess {
    /// The instance's, with whose role objects are written. Absent on a laptop.
    pub region: Option<String>,
    pub network: Network,
}

/// One object, whatever was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutObject {
    pub at: S3Object,
    pub text: String,
    #[serde(flatten)]
    pub access: FleetAccess,
}

/// The bundle of the fetched commit, as an object that is never replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutBundle {
    pub at: S3Object,
    pub commit: Commit,
    pub branch: Branch,
    /// The transient unit that writes it.
    pub unit: String,
    #[serde(flatten)]
    pub access: FleetAccess,
}

/// The lock that lets one instance of the group run a commit's migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationLock {
    pub at: S3Object,
    pub instance: String,
    #[serde(flatten)]
    pub access: FleetAccess,
}
