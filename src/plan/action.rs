//! The actions that plans consist of. Each is idempotent: doing it twice has the same effect as once. Data only;
//! `machine` checks and executes them.

use std::path::PathBuf;

use serde::Serialize;

use super::archive::InstallRuntime;
use super::cache::{CachedPackages, CachedRelease};
use super::command::{Command, Migration};
use super::container::{ConfigureEngine, PrepareImage, PruneImages, StopContainer};
use super::data::InitializeData;
use super::evidence::{PutEvidence, StackSignal};
use super::fleet::{PutBundle, PutObject};
use super::health::HealthWait;
use super::hooks::RunHooks;
use super::packages::InstallPackages;
use super::prune::{Aside, BoundCache, Prune, PruneRuntimes};
use super::refresh::{CancelRefresh, StartRefresh};
use super::signal::Signal;
use super::site::PublishSite;
use super::tool::{Evaluation, InstallTool};
use super::upkeep::{LimitJournal, MakeSwap, RestoreLabels};
use super::volume::{MountVolume, PrepareVolume};
use super::writable::GiveToService;
use crate::facts::{Branch, Commit, Seconds};
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
    /// A file of the previous deployment that the new one does not have. It may be absent already.
    RemoveFile {
        path: PathBuf,
    },
    /// Copies the running bootagent binary to `path`, for the next boot.
    InstallAgent {
        path: PathBuf,
    },
    /// Takes the finished release from the release cache, if it has a good entry.
    RestoreRelease(CachedRelease),
    /// Puts the finished release into the release cache, unless it is there.
    StoreRelease(CachedRelease),
    /// Takes the archives of the lockfile's packages from the release cache, if it has a good entry.
    RestorePackages(CachedPackages),
    /// Puts them there after an installation, unless they are there.
    StorePackages(CachedPackages),
    CheckOut(Checkout),
    /// Loads firewall rules that let only root and the named users reach IMDS, now and at every boot.
    LoadImdsRules(ImdsRules),
    /// Tests the rules: a connection to IMDS by a user whom they do not name must fail.
    ProveImdsRules {
        unit: String,
    },
    /// Installs a runtime from its official archive. Atomic: its path is complete or absent.
    InstallRuntime(InstallRuntime),
    /// Installs the packages of a lockfile that bootagent ships. Atomic: the path is complete or absent.
    InstallTool(InstallTool),
    /// Runs a program on the release; its output becomes a file that root owns and the service may read.
    Evaluate(Evaluation),
    /// Packages of the distribution, from the package repositories that the machine is configured with.
    InstallPackages(InstallPackages),
    MakeSwap(MakeSwap),
    LimitJournal(LimitJournal),
    RestoreLabels(RestoreLabels),
    RunCommand(Command),
    /// Runs the operator's hooks of one phase, as root.
    RunHooks(RunHooks),
    /// Starts docker's daemon, and bounds the logs of containers where nothing else does.
    ConfigureEngine(ConfigureEngine),
    /// Pulls or builds the image of a release.
    PrepareImage(PrepareImage),
    GiveToService(GiveToService),
    /// Finds the pages of a static site in its release, and fails if they contain a value of the secret.
    PublishSite(PublishSite),
    /// Flushes the release to disk, and then writes the record, readable only by root, that it is complete.
    FinishRelease {
        release: PathBuf,
        record: PathBuf,
        /// Runtimes and tools that must stay as long as the release does.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        uses: Vec<PathBuf>,
    },
    /// Runs the manifest's migration commands, once for each release, before the service runs from it.
    Migrate(Migration),
    /// Waits for a volume, and formats it if it is empty.
    PrepareVolume(PrepareVolume),
    /// Mounts a volume by its label.
    MountVolume(MountVolume),
    /// Makes the first data of a database server, once for each data directory.
    InitializeData(InitializeData),
    /// Replaces a symbolic link with one rename.
    SwitchSymlink {
        path: PathBuf,
        target: PathBuf,
        /// Whether a directory at `path` is removed first: the repository's copy of a persistent directory.
        displaces: bool,
    },
    /// `systemctl daemon-reload`, if the unit file changed since systemd read it.
    ReloadUnit {
        unit: String,
    },
    /// Stops the unit, and then removes the files that only this unit used.
    StopUnit {
        unit: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        scratch: Vec<PathBuf>,
    },
    StopContainer(StopContainer),
    /// Stops the transient units of a killed run, whose names match a pattern, and removes their files. Also
    /// those of killed dry runs, whose names contain their process id.
    StopLeftovers {
        units: Vec<String>,
        scratch: Vec<PathBuf>,
    },
    /// Starts the unit if it is down, restarts it if its inputs changed since it was started, and otherwise does
    /// nothing.
    EnsureRunning(EnsureRunning),
    AwaitHealth(HealthWait),
    /// Waits until all of them (`HOST:PORT`) accept connections.
    AwaitAddresses {
        addresses: Vec<String>,
        within: Seconds,
    },
    /// Removes the release if it has no record that it is complete.
    DiscardUnfinished {
        release: PathBuf,
        record: PathBuf,
    },
    /// Renames a release so that the same commit can be built again in its place.
    SetAside(Aside),
    /// Undoes `SetAside` if no complete release was built in its place.
    BringBack(Aside),
    PruneReleases(Prune),
    /// Removes images whose releases are not kept.
    PruneImages(PruneImages),
    /// Empties a cache that is larger than its limit.
    BoundCache(BoundCache),
    /// Sets a timer that starts bootagent's unit again; it replaces an earlier timer.
    ArrangeRetry {
        unit: String,
        timer: String,
        after: Seconds,
    },
    /// Removes that timer.
    CancelRetry {
        unit: String,
        timer: String,
    },
    /// Removes installed runtimes and tools that no complete release uses.
    PruneRuntimes(PruneRuntimes),
    /// Tells Auto Scaling that the instance may go into service, or must be terminated.
    Signal(Signal),
    /// Tells a CloudFormation stack whether the instance is healthy.
    SignalStack(StackSignal),
    /// Writes the end of a failed run to CloudWatch Logs. Never part of a plan.
    PutEvidence(PutEvidence),
    /// Writes an object of the fleet memory.
    PutObject(PutObject),
    /// Writes the git bundle of the fetched commit to the fleet memory, unless it is there.
    PutBundle(PutBundle),
    /// Starts an instance refresh of an Auto Scaling group. Only of a rollout.
    StartRefresh(StartRefresh),
    CancelRefresh(CancelRefresh),
}

impl Action {
    /// Whether the action makes part of a release. It can be repeated, since nothing runs from the release yet.
    pub fn builds(&self) -> bool {
        matches!(
            self,
            Action::CheckOut(_)
                | Action::RestoreRelease(_)
                | Action::RestorePackages(_)
                | Action::InstallRuntime(_)
                | Action::InstallTool(_)
                | Action::InstallPackages(_)
                | Action::RestoreLabels(_)
                | Action::RunCommand(_)
                | Action::ConfigureEngine(_)
                | Action::PrepareImage(_)
                | Action::GiveToService(_)
                | Action::PublishSite(_)
                | Action::FinishRelease { .. }
        )
    }

    /// The files and directory trees that the action writes to.
    pub fn writes(&self) -> Vec<PathBuf> {
        match self {
            Action::CreateUser { .. } => vec!["/etc".into()],
            Action::MakeDirectory { path, .. }
            | Action::WriteFile { path, .. }
            | Action::RemoveFile { path }
            | Action::InstallAgent { path }
            | Action::SwitchSymlink { path, .. } => vec![path.clone()],
            Action::CheckOut(checkout) => vec![checkout.release.clone()],
            Action::RestoreRelease(cached) => vec![cached.release.clone(), cached.record.clone()],
            Action::RestorePackages(cached) => vec![cached.cache.clone(), super::layout::STAGING.into()],
            Action::StoreRelease(_) | Action::StorePackages(_) => vec![super::layout::STAGING.into()],
            Action::RunCommand(command) => command.sandbox.writable.clone(),
            Action::RunHooks(_) => vec!["/".into()],
            Action::ConfigureEngine(engine) => vec![engine.file.clone(), "/var/lib/docker".into()],
            Action::PrepareImage(image) => vec![image.record.clone(), "/var/lib/docker".into()],
            Action::PruneImages(prune) => vec![prune.records.clone(), "/var/lib/docker".into()],
            Action::GiveToService(give) => give.paths.clone(),
            Action::PublishSite(site) => vec![site.link.clone()],
            Action::FinishRelease { release, record, .. } | Action::DiscardUnfinished { release, record } => {
                vec![release.clone(), record.clone()]
            }
            Action::EnsureRunning(ensure) => vec![ensure.record.clone()],
            Action::Migrate(migration) => vec![migration.record.path.clone(), migration.scratch.clone()],
            Action::PrepareVolume(volume) => vec![volume.device.clone().into()],
            Action::MountVolume(mount) => vec![mount.path.clone()],
            Action::InitializeData(data) => vec![data.directory.clone(), data.variables_at.clone()],
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
            Action::MakeSwap(swap) => vec![swap.path.clone()],
            Action::LimitJournal(limit) => vec![limit.file.clone()],
            Action::RestoreLabels(labels) => labels.paths.clone(),
            Action::PruneRuntimes(_) => vec![super::layout::RUNTIMES.into()],
            Action::Signal(signal) => vec![signal.at.record.path.clone()],
            Action::SignalStack(signal) => vec![signal.record.path.clone()],
            Action::AwaitHealth(_)
            | Action::PutObject(_)
            | Action::PutEvidence(_)
            | Action::PutBundle(_)
            | Action::StartRefresh(_)
            | Action::CancelRefresh(_)
            | Action::AwaitAddresses { .. }
            | Action::ReloadUnit { .. }
            | Action::StopUnit { .. }
            | Action::StopContainer(_)
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
    /// The bytes of the file, secrets included: only for the code that writes the file.
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
    /// Owner of the files and, with `group`, of the release directory.
    pub user: String,
    /// Group that may enter the release directory.
    pub group: String,
    pub unit: String,
}

/// Users are names here; `machine` looks up their uids when it loads the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImdsRules {
    /// Users who may reach IMDS besides root. Each must exist.
    pub users: Vec<String>,
    /// The service's user, if it may reach IMDS. On a first boot it does not exist yet.
    pub service: Option<String>,
    pub file: PathBuf,
    /// The unit that loads the rules at every boot.
    pub unit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnsureRunning {
    pub unit: String,
    /// The files, links and directories that the running service depends on.
    pub inputs: Vec<PathBuf>,
    /// Those inputs for whose changes a reload suffices. A change of any other one needs a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reloads: Vec<PathBuf>,
    /// Units beside it, which are started and restarted with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// Record of the inputs at the unit's last start: on tmpfs, readable only by root.
    pub record: PathBuf,
}
