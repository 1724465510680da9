//! Commands of a plan: those that install and build, and those that migrate. Data only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::environment::SeenFile;
use super::fleet::MigrationLock;
use super::registries::RegistryAccess;
use crate::secret::Sealed;

/// A program with arguments in a transient unit; without a shell, unless `argv` names one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    pub unit: String,
    pub argv: Vec<String>,
    pub user: String,
    pub group: String,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub sandbox: Sandbox,
    /// Private registries that it may ask for packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registries: Option<RegistryAccess>,
    /// If this record exists, the release is complete and the command is skipped.
    pub done_by: PathBuf,
    /// The version of Node, if the command is `npm ci` and bootagent's own installer carries it out: it starts npm only
    /// for what only npm is certain of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_installer: Option<String>,
}

/// The manifest's migration commands. They run as the service's user, with the service's hardening and the
/// environment that the service will have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migration {
    pub unit: String,
    /// One `argv` each, run in this order.
    pub commands: Vec<Vec<String>>,
    /// The service's user; the group has the same name.
    pub user: String,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    /// The text of the service's `EnvironmentFile=`.
    pub variables: Sealed,
    /// Path of that file during the migration.
    pub variables_at: PathBuf,
    /// The environment's other files, such as `.env`.
    pub files: Vec<SeenFile>,
    /// Directory of these files during the migration: on tmpfs, readable only by root.
    pub scratch: PathBuf,
    pub writable: Vec<PathBuf>,
    pub may_use_imds: bool,
    /// Lets one instance of a group run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<MigrationLock>,
    /// If this record exists with this text, the migration is done.
    pub record: Record,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub path: PathBuf,
    pub text: String,
}

/// The paths that a command may write, and those that it cannot see. All others are read-only, and IMDS is blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sandbox {
    pub writable: Vec<PathBuf>,
    pub hidden: Vec<PathBuf>,
}
