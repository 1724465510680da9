//! Node as it is installed or can be had: versions and places, plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An installed Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRuntime {
    /// `22.11.0`.
    pub version: String,
    /// The directory that holds `node` and, if it came along, `npm`.
    pub bin: PathBuf,
    pub npm: bool,
}

/// One line of the index that stands beside Node's official archives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRelease {
    /// `22.11.0`.
    pub version: String,
    /// The name of its line, `Jod`, once that has long-term support.
    pub lts: Option<String>,
    /// For what it was built: `linux-x64`, `src`.
    pub files: Vec<String>,
}
