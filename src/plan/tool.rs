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
    /// The version of Node, if bootagent's own installer carries out this `npm ci`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_installer: Option<String>,
    /// The user that installs it. Afterwards root owns it.
    pub user: String,
    pub environment: BTreeMap<String, String>,
    pub path: PathBuf,
    pub unit: String,
    /// What one file must be, after the installation and before it gets its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_hash: Option<FileHash>,
}

impl InstallTool {
    /// Whether npm installs it. Node comes with the machine or as an archive, and has certificates of its own: no OS package is
    /// needed.
    pub fn is_by_npm(&self) -> bool {
        self.argv.first().is_some_and(|program| program.ends_with("/npm"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileHash {
    /// Relative to the tool's directory.
    pub file: String,
    pub algorithm: Sha2,
    /// In lower case.
    pub hex: String,
    /// What names the hash, for errors.
    pub by: String,
}

/// The algorithms of SHA-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sha2 {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Sha2 {
    pub const ALL: [Sha2; 4] = [Sha2::Sha224, Sha2::Sha256, Sha2::Sha384, Sha2::Sha512];

    pub fn name(self) -> &'static str {
        match self {
            Sha2::Sha224 => "sha224",
            Sha2::Sha256 => "sha256",
            Sha2::Sha384 => "sha384",
            Sha2::Sha512 => "sha512",
        }
    }

    /// Of a hash, in bytes.
    pub fn length(self) -> usize {
        match self {
            Sha2::Sha224 => 28,
            Sha2::Sha256 => 32,
            Sha2::Sha384 => 48,
            Sha2::Sha512 => 64,
        }
    }
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
