//! The few verbs of which every plan is made. Each converges: done twice is done once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::environment::SeenFile;
use super::tool::{Evaluation, InstallTool};
use crate::facts::{Branch, CaFile, Commit, Gate, Network, Seconds};
use crate::secret::Sealed;

#[derive(Debug, Serialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Action {
    /// A system user with a group of its own name, no shell and no password.
    CreateUser {
        name: String,
        description: String,
        home: PathBuf,
    },
    MakeDirectory {
        path: PathBuf,
        owner: Owner,
        mode: Mode,
    },
    WriteFile {
        path: PathBuf,
        content: Content,
        owner: Owner,
        mode: Mode,
    },
    /// A file that an earlier generation had and this one has not.
    RemoveFile {
        path: PathBuf,
    },
    /// This very program, for the next boot.
    InstallAgent {
        path: PathBuf,
    },
    CheckOut(Checkout),
    /// Lets only root and some users reach instance metadata, from now on and in later boots.
    LoadImdsRules(ImdsRules),
    /// Shows that the rules hold: a user whom they do not let through gets no connection.
    ProveImdsRules {
        unit: String,
    },
    /// A runtime from its official archive, whole under its path or not there at all.
    InstallRuntime(InstallRuntime),
    /// Packages that a lockfile of ours names, for programs of the machine: whole under their path or not there at all.
    InstallTool(InstallTool),
    /// What a program says of the release becomes a file of root's, which the service may read.
    Evaluate(Evaluation),
    /// Packages of the distribution, from the repositories that the machine is set up with.
    InstallPackages(InstallPackages),
    RunCommand(Command),
    /// Flushes the release to disk and then records, root's own, that it is whole.
    FinishRelease {
        release: PathBuf,
        record: PathBuf,
        /// Runtimes and tools that must stay as long as the release does.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        uses: Vec<PathBuf>,
    },
    /// Commands of the release's own, once for each, before anything runs from it.
    Migrate(Migration),
    /// Swings a symbolic link to its target in one rename.
    SwitchSymlink {
        path: PathBuf,
        target: PathBuf,
        /// Whether a directory of this name gives way: the repository's own copy of a persistent one.
        displaces: bool,
    },
    /// Makes systemd read the unit's file again, if it has not since the file changed.
    ReloadUnit {
        unit: String,
    },
    /// And removes what was there for it alone.
    StopUnit {
        unit: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        scratch: Vec<PathBuf>,
    },
    /// Stops what a killed run left, transient units whose names fit a pattern, and removes their scratch.
    /// The same of dry runs that are gone, which have names of their own.
    StopLeftovers {
        units: Vec<String>,
        scratch: Vec<PathBuf>,
    },
    /// Makes the unit run what its inputs say: started if it is down, restarted if what runs was
    /// started from other bytes, left alone otherwise.
    EnsureRunning(EnsureRunning),
    AwaitHealth(HealthWait),
    /// Removes a release that was never finished.
    DiscardUnfinished {
        release: PathBuf,
        record: PathBuf,
    },
    /// A release that passed before and does not run any more makes room to be built once more.
    SetAside(Aside),
    /// And comes back if nothing was built in its place.
    BringBack(Aside),
    PruneReleases(Prune),
    /// Empties a cache that is larger than it may be.
    BoundCache(BoundCache),
    /// Has the agent's own unit started again after a while, whatever was arranged before.
    ArrangeRetry {
        unit: String,
        timer: String,
        after: Seconds,
    },
    /// Nothing is to be tried again.
    CancelRetry {
        unit: String,
        timer: String,
    },
    /// Removes what an `InstallRuntime` installed and no finished release uses.
    PruneRuntimes(PruneRuntimes),
}

impl Action {
    /// What makes a release, and can begin anew: nothing of the service runs from it yet.
    pub fn builds(&self) -> bool {
        matches!(
            self,
            Action::CheckOut(_)
                | Action::InstallRuntime(_)
                | Action::InstallTool(_)
                | Action::InstallPackages(_)
                | Action::RunCommand(_)
                | Action::FinishRelease { .. }
        )
    }

    /// The files and trees that are written to.
    pub fn writes(&self) -> Vec<PathBuf> {
        match self {
            Action::CreateUser { .. } => vec!["/etc".into()],
            Action::MakeDirectory { path, .. }
            | Action::WriteFile { path, .. }
            | Action::RemoveFile { path }
            | Action::InstallAgent { path }
            | Action::SwitchSymlink { path, .. } => vec![path.clone()],
            Action::CheckOut(checkout) => vec![checkout.release.clone()],
            Action::RunCommand(command) => command.sandbox.writable.clone(),
            Action::FinishRelease { release, record, .. } | Action::DiscardUnfinished { release, record } => {
                vec![release.clone(), record.clone()]
            }
            Action::EnsureRunning(ensure) => vec![ensure.record.clone()],
            Action::Migrate(migration) => vec![migration.record.path.clone(), migration.scratch.clone()],
            Action::SetAside(aside) | Action::BringBack(aside) => {
                vec![aside.release.clone(), aside.record.clone()]
            }
            Action::PruneReleases(prune) => prune.records.clone(),
            Action::BoundCache(bound) => vec![bound.path.clone()],
            Action::InstallRuntime(install) => vec![install.archive.path.clone()],
            Action::InstallTool(install) => vec![install.path.clone()],
            Action::Evaluate(evaluation) => vec![evaluation.path.clone()],
            Action::LoadImdsRules(rules) => vec![rules.file.clone()],
            Action::InstallPackages(_) => vec!["/usr".into(), "/var".into()],
            Action::PruneRuntimes(_) => vec![super::layout::RUNTIMES.into()],
            Action::AwaitHealth(_)
            | Action::ReloadUnit { .. }
            | Action::StopUnit { .. }
            | Action::ArrangeRetry { .. }
            | Action::CancelRetry { .. }
            | Action::ProveImdsRules { .. }
            | Action::StopLeftovers { .. } => vec![super::layout::RUN.into()],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    pub user: String,
    pub group: String,
}

impl Owner {
    pub fn root() -> Self {
        Self::new("root", "root")
    }

    pub fn new(user: &str, group: &str) -> Self {
        Owner { user: user.to_owned(), group: group.to_owned() }
    }
}

/// Permission bits, shown in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    Sealed(Sealed),
}

impl Content {
    /// The bytes of the file. For the door only.
    pub fn expose(&self) -> &str {
        match self {
            Content::Text(text) => text,
            Content::Sealed(sealed) => sealed.expose(),
        }
    }
}

/// A commit's files into a release directory, written by the build user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkout {
    pub repository: String,
    pub branch: Branch,
    pub commit: Commit,
    pub release: PathBuf,
    pub record: PathBuf,
    /// Who owns the files; the release directory itself belongs to this user and `group`.
    pub user: String,
    /// Who may enter the release.
    pub group: String,
    pub unit: String,
}

/// Users by name: their numbers are looked up when the rules are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImdsRules {
    /// Besides root. Each must exist.
    pub users: Vec<String>,
    /// The service's own user, if it may: let through once it exists.
    pub service: Option<String>,
    pub file: PathBuf,
    /// Loads the rules, now and at every boot.
    pub unit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallPackages {
    pub names: Vec<String>,
    pub unit: String,
    /// How long a locked dpkg is waited for.
    pub wait: Seconds,
    pub environment: BTreeMap<String, String>,
    /// Certificates to trust besides the system's own.
    pub ca_file: Option<CaFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallRuntime {
    pub archive: Archive,
    pub unit: String,
    pub network: Network,
}

/// An official archive of a runtime, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Archive {
    pub runtime: String,
    pub version: String,
    pub address: String,
    pub checksum: Checksum,
    /// The file that must be in it, from its top directory.
    #[serde(skip)]
    pub program: PathBuf,
    /// What of it is not needed.
    pub leave_out: Vec<String>,
    pub path: PathBuf,
}

/// Which SHA-256 an archive must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// The policy's.
    Pinned(String),
    /// What the list at this address says, by the archive's name.
    Listed(String),
}

/// A program, never a shell line, in a transient unit of a fixed name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    pub unit: String,
    pub argv: Vec<String>,
    pub user: String,
    pub group: String,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub sandbox: Sandbox,
    /// While this record exists, the command's work is done.
    pub done_by: PathBuf,
}

/// What the release asks for before the service runs from it: as the service, within its walls, with the
/// environment that it will get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migration {
    pub unit: String,
    /// One after the other.
    pub commands: Vec<Vec<String>>,
    /// The service's own user, and the group of its name.
    pub user: String,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub variables: Sealed,
    /// Where those are as long as it lasts.
    pub variables_at: PathBuf,
    /// The environment's files for other readers.
    pub files: Vec<SeenFile>,
    /// tmpfs, root only: where all of these are as long as it lasts.
    pub scratch: PathBuf,
    pub writable: Vec<PathBuf>,
    pub may_use_imds: bool,
    /// While there is this very record, it is done.
    pub record: Record,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    pub path: PathBuf,
    pub text: String,
}

/// What a command may touch. Everything else is read-only or hidden, and IMDS does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sandbox {
    pub writable: Vec<PathBuf>,
    pub hidden: Vec<PathBuf>,
}

/// A health check, and what ends the wait for it before its time is over. This is the step's, not the deployment's: the
/// same deployment is waited for in another way when there is nothing to go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthWait {
    #[serde(flatten)]
    pub gate: Gate,
    /// How often the service may be restarted. Absent: as often as the time allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_restarts: Option<u32>,
    /// How long it may listen on other ports without listening on its own. Absent: as long as the time allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Seconds>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aside {
    pub release: PathBuf,
    /// That it is whole.
    pub record: PathBuf,
    /// Beside it, so that one rename does it.
    pub aside: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnsureRunning {
    pub unit: String,
    /// The files, links and directories that make up what runs.
    pub inputs: Vec<PathBuf>,
    /// Those of them that the running unit takes up by a reload. Empty: by a restart only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reloads: Vec<PathBuf>,
    /// Where it is noted, on tmpfs and for root only, from which bytes the running unit was started.
    pub record: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoundCache {
    pub path: PathBuf,
    pub most_mib: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PruneRuntimes {
    pub runtime: String,
    /// Stays in any case.
    pub keep: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prune {
    pub releases: PathBuf,
    /// Directories with a record for each; of the first one also that it is whole.
    pub records: Vec<PathBuf>,
    /// Names of releases that stay.
    pub keep: Vec<String>,
}
