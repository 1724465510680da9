//! The action that makes the first data of a database server. Data only.

use std::path::PathBuf;

use serde::Serialize;

use crate::secret::Sealed;

/// Makes a data directory with its first user, once: the directory has its name only when all is in it, and then has a
/// record of the service, the server and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InitializeData {
    pub unit: String,
    pub service: String,
    /// The server's name, as the runtime.
    pub server: String,
    pub directory: PathBuf,
    /// The service's user, as whom the script runs; the group has the same name.
    pub user: String,
    /// The version of the server's program that fits the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<ServerProgram>,
    /// Run by /bin/sh with `$new`, the directory to make, and `$link`.
    pub script: String,
    /// The text of an `EnvironmentFile=` for the script.
    pub variables: Sealed,
    /// Path of that file while the script runs: on tmpfs, readable only by root, in a directory of its own.
    pub variables_at: PathBuf,
}

/// A server of which several versions may be installed, each in a directory of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerProgram {
    /// A `*` stands for the version. In a directory without one, the program says its version.
    pub directories: Vec<String>,
    /// The program in such a directory.
    pub program: String,
    /// The link that leads to the directory of the version in use.
    pub link: PathBuf,
    /// The version that the manifest names; none: the data's, else the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The record in a data directory: `postgresql 15 orders-db`. A server without versions has `-`.
pub const RECORD: &str = "bootagent-data";
