//! What a supervisor needs beside the release: a tool of the machine, and what a program says of the release. Data only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// A tool of the machine, installed by a package manager from files that this program brings along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallTool {
    pub name: String,
    pub version: String,
    /// Its manifest, lockfile and programs of ours, by their names.
    #[serde(serialize_with = "lengths")]
    pub files: BTreeMap<String, String>,
    pub argv: Vec<String>,
    /// Who installs it. Afterwards it is root's.
    pub user: String,
    pub environment: BTreeMap<String, String>,
    pub writable: Vec<PathBuf>,
    pub path: PathBuf,
    pub unit: String,
}

/// A lockfile is long, and the same in every plan: its length stands for it.
fn lengths<S: serde::Serializer>(files: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(files.iter().map(|(name, text)| (name, text.len())))
}

/// A program that reads what the repository says about itself, as the service's user and without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    pub argv: Vec<String>,
    /// The service's own, and the group that may read what comes of it.
    pub user: String,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub hidden: Vec<PathBuf>,
    /// What its standard output becomes.
    pub path: PathBuf,
    pub unit: String,
}
