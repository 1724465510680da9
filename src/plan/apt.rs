//! A signed repository of packages that the policy names. Data only.

use std::path::PathBuf;

use serde::Serialize;

use crate::facts::Network;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AptRepository {
    pub name: String,
    /// The source's file, and its text.
    pub path: PathBuf,
    pub text: String,
    /// A key to download; none if the policy names a file of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<AptKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AptKey {
    pub address: String,
    pub sha256: String,
    pub path: PathBuf,
    pub network: Network,
}
