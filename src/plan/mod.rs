//! The plan: what a run would do, as data. The planner makes it, a dry run shows it, and `apply` carries it out. No
//! code here touches the machine.

mod action;
mod archive;
mod cache;
mod command;
pub mod container;
mod data;
pub mod environment;
mod evidence;
mod fleet;
pub mod hardening;
mod health;
mod hooks;
pub mod layout;
mod limits;
mod packages;
mod preview;
mod prune;
mod refresh;
mod registries;
mod show;
mod signal;
mod site;
mod tool;
mod upkeep;
mod volume;
mod watch;
mod writable;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::facts::{Commit, Environment, Generation, S3Object, Service, SourceCopy};
use crate::secret::Redaction;

/// Part of the recorded facts, because records of earlier deployments contain them.
pub use crate::facts::{Gate, Probe, Request, Seconds};
pub use action::{Action, Checkout, Content, EnsureRunning, ImdsRules, Mode, Owner};
pub use archive::{Archive, Checksum, InstallRuntime};
pub use cache::{CacheObject, CachedPackages, CachedRelease};
pub use command::{Command, Migration, Record, Sandbox};
pub use container::{
    ConfigureEngine, EcrRegistry, ImageOrigin, PrepareImage, PruneImages, RegistryLogin, StopContainer,
};
pub use data::{InitializeData, RECORD as DATA_RECORD, ServerProgram};
pub use environment::{Rendering, SeenFile};
pub use evidence::{PutEvidence, StackSignal, StackStatus};
pub use fleet::{FleetAccess, MigrationLock, PutBundle, PutObject};
pub use health::{HealthWait, PortsRecord, Unset};
pub use hooks::RunHooks;
pub use limits::{AN_AMOUNT, Limits, Memory, OPEN_FILES, TASKS};
pub use packages::{InstallPackages, PackageRepository, RepositoryKey};
pub use preview::{Preview, Summary, correct_previews};
pub use prune::{Aside, BoundCache, Prune, PruneRuntimes};
pub use refresh::{CancelRefresh, StartRefresh};
pub use registries::{PROXY, RegistryAccess};
use show::printable;
pub use show::{Shown, headline, text};
pub use signal::{Keepalive, LifecycleHook, LifecycleResult, Signal};
pub use site::PublishSite;
pub use tool::{Evaluation, FileHash, InstallTool, Sha2};
pub use upkeep::{LimitJournal, MakeSwap, RestoreLabels};
pub use volume::{FileSystem, MountVolume, PrepareVolume};
pub use watch::{HealthWatch, SecretsWatch, Watch};
pub use writable::GiveToService;

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The service runs and is healthy.
    Serve,
    /// Its release is complete, and nothing runs: the instance goes into a warm pool.
    Prepare,
    /// The same, as part of an image that other instances start from.
    Bake,
}

#[derive(Debug, Serialize)]
pub struct Plan {
    pub goal: Goal,
    pub service: Service,
    pub environment: Environment,
    pub commit: Commit,
    pub unit: String,
    /// The copy from which the commit was read, because its git server could not be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<SourceCopy>,
    /// Where each setting came from, in the order of the policy's reference.
    pub settings: Vec<Setting>,
    /// What an operator should know before the run. A note never fails a run.
    pub notes: Vec<String>,
    pub steps: Vec<Step>,
    /// Sent beside `steps`, for as long as they run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// Where the run's report is written at its end, also after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<S3Object>,
    /// Whether the former commit works with migrated data; `None` if the plan has no migration.
    #[serde(skip)]
    pub migration_is_reversible: Option<bool>,
    /// Run before `steps` are run a second time, if a release that was healthy before the boot is not healthy after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rebuild: Vec<Step>,
    /// What a failed run does at its end: usually, start the previous deployment again.
    pub recover: Vec<Step>,
    /// What root runs after a failed run, when the recovery is done. A failure of it is only noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_failure: Option<RunHooks>,
    /// Run once if the disk is full during a build, to free space. Then the failed step is tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub room: Vec<Step>,
    /// The deployment that `recover` starts again.
    pub former: Option<Generation>,
    /// If the plan is not for an EC2 instance: the additional steps of a plan for an instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_on_an_instance: Vec<StepId>,
    #[serde(skip)]
    pub deployment: Deployment,
    /// The time limit of the whole run, in seconds.
    pub budget: Seconds,
    /// The secret values to remove from the output of failed commands before it is logged or recorded.
    #[serde(skip)]
    pub redaction: Redaction,
}

/// The deployment that a run starts, and how it differs from the last healthy one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub commit: Commit,
    pub release: PathBuf,
    /// SHA-256 of the unit, the environment and the files. Never shown: a short secret could be guessed from it.
    pub digest: String,
    pub is: Compared,
}

/// How a deployment differs from the last healthy one on this instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// No deployment was healthy on this instance yet.
    First,
    Same,
    /// Only the environment differs.
    OtherValues {
        /// Names of the variables that were added or have another value.
        keys: Vec<String>,
        /// Name of the secret that they come from.
        secret: String,
    },
    /// The release, the unit, its files or the health check differ.
    Other,
}

/// One setting, its value, and where the value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub name: String,
    pub value: String,
    pub origin: String,
}

/// One action of a plan. Steps whose `needs` are done may run at the same time.
#[derive(Debug, Serialize)]
pub struct Step {
    pub id: StepId,
    pub needs: Vec<StepId>,
    pub why: String,
    pub action: Action,
    pub timeout: Seconds,
    /// Total number of attempts, the first one included.
    pub tries: u32,
    /// A clean-up that the service does not need: if it fails, the run is healthy with warnings.
    pub optional: bool,
    /// What is known once the step is done. Code decides by marks only; step ids are for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// Progress that the run's later decisions and its report depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The release is complete: checked out, installed, built and flushed to disk.
    Whole,
    /// The migration is done.
    Migrated,
    /// A candidate runs beside the serving deployment.
    Candidate,
    /// The record that the new deployment is about to be started is written.
    Attempt,
    /// `current` leads to the new release.
    Switched,
    /// The service's unit runs the new deployment.
    Started,
    /// The new deployment passed its health check.
    Passed,
    /// The recovery started the previous deployment again.
    BackStarted,
    /// The previous deployment passed its health check after that.
    BackServing,
}

/// A step's stable name within its plan: `install`, `unit`, `health-check`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    pub fn new(name: impl Into<String>) -> Self {
        StepId(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
