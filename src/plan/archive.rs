//! A runtime from its official archive: what the archive is, and which checksum it must have. Data only.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::facts::Network;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallRuntime {
    pub archive: Archive,
    pub unit: String,
    pub network: Network,
}

/// An official archive of a runtime, and where to install it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Archive {
    pub runtime: String,
    pub version: String,
    pub address: String,
    pub checksum: Checksum,
    /// The file that must be in it, from its top directory.
    #[serde(skip)]
    pub program: PathBuf,
    /// Paths in the archive that are not installed.
    pub leave_out: Vec<String>,
    pub path: PathBuf,
}

/// Where the SHA-256 that an archive must have comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// The policy: 64 hexadecimal digits.
    Pinned(String),
    /// The list at this address, such as `SHASUMS256.txt`.
    Listed(String),
}
