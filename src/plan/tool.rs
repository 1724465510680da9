//! Actions that a supervisor may need: installing a tool on the machine, and evaluating a file of the repository. Data
//! only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// A tool for all services of the machine, such as PM2. A package manager installs it from files that bootagent ships. It
/// writes only to the new directory and to its private /tmp: what one service's build left must not become a program of
/// the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallTool {
    pub name: String,
    pub version: String,
    /// Name and text of each file: `package.json`, the lockfile, and bootagent's own scripts.
    #[serde(serialize_with = "lengths")]
    pub files: BTreeMap<String, String>,
    pub argv: Vec<String>,
    /// The user that installs it. Afterwards root owns it.
    pub user: String,
    pub environment: BTreeMap<String, String>,
    pub path: PathBuf,
    pub unit: String,
}

/// A plan shows the files' lengths only: a lockfile is long, and the same in every plan.
fn lengths<S: serde::Serializer>(files: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(files.iter().map(|(name, text)| (name, text.len())))
}

/// A program that evaluates a file of the repository, such as an ecosystem file of PM2. It runs as the service's user,
/// without the service's secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// The evaluated file, relative to the release.
    pub file: String,
    pub argv: Vec<String>,
    /// The service's user. The group of the same name may read the output.
    pub user: String,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub hidden: Vec<PathBuf>,
    /// The file that gets the program's standard output.
    pub path: PathBuf,
    pub unit: String,
}
