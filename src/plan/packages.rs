//! The action that installs packages of the distribution, and the signed repositories that the policy names. Data only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::facts::{CaFile, Network, PackageManager, Seconds};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallPackages {
    pub manager: PackageManager,
    /// As this distribution calls them.
    pub names: Vec<String>,
    pub unit: String,
    /// How long to wait while another process has a lock of the package manager.
    pub wait: Seconds,
    pub environment: BTreeMap<String, String>,
    /// Certificates to trust in addition to the system's.
    pub ca_file: Option<CaFile>,
    /// Signed repositories that the policy names, written if a package is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<PackageRepository>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageRepository {
    pub name: String,
    /// The source's file, and its text.
    pub path: PathBuf,
    pub text: String,
    /// A key to download; none if the policy names a file of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<RepositoryKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepositoryKey {
    pub address: String,
    pub sha256: String,
    /// The policy's key that has the checksum, such as `apt.mongodb.key_sha256`.
    pub setting: String,
    pub path: PathBuf,
    pub network: Network,
}
