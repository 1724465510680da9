//! The thing itself: what a run would do, as data. It is made by the planner, shown by a dry run and
//! carried out by `apply`; all three use this one value.

mod action;
pub mod environment;
pub mod hardening;
pub mod layout;
mod preview;
mod show;
mod tool;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::facts::{Commit, Environment, Generation, Service};
use crate::secret::Redaction;

/// What a gate is, other generations know, too.
pub use crate::facts::{Gate, Probe, Seconds};
pub use action::{
    Action, Archive, Aside, BoundCache, Checkout, Checksum, Command, Content, EnsureRunning, HealthWait,
    ImdsRules, InstallPackages, InstallRuntime, Migration, Mode, Owner, Prune, PruneRuntimes, Record,
    Sandbox,
};
pub use environment::{Rendering, SeenFile};
pub use preview::{Preview, Summary, foreseen};
pub use show::{Shown, headline, text};
pub use tool::{Evaluation, InstallTool};

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The service in service.
    Serve,
}

#[derive(Debug, Serialize)]
pub struct Plan {
    pub goal: Goal,
    pub service: Service,
    pub environment: Environment,
    pub commit: Commit,
    pub unit: String,
    /// Where each setting came from, in the order of the policy's reference.
    pub settings: Vec<Setting>,
    /// What an operator should know before it runs: never fatal.
    pub notes: Vec<String>,
    pub steps: Vec<Step>,
    /// What is done before everything is done once more, if what passed before does not come into service after a boot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rebuild: Vec<Step>,
    /// What a failed run does at its end.
    pub recover: Vec<Step>,
    /// What is given up, once, if a build finds the disk full; then the step that failed is tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub room: Vec<Step>,
    /// The generation to which the recovery goes back.
    pub former: Option<Generation>,
    /// Of a plan that is not an instance's: the steps that one would have besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_on_an_instance: Vec<StepId>,
    #[serde(skip)]
    pub deployment: Deployment,
    /// The whole run's deadline in seconds.
    pub budget: Seconds,
    /// What the words of those that fail are freed of before anybody reads them.
    #[serde(skip)]
    pub redaction: Redaction,
}

/// What a run is about to put to run, and what it is to the deployment that passed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub commit: Commit,
    pub release: PathBuf,
    /// Of its unit and its environment. Never shown: secret bytes could be guessed from it.
    pub digest: String,
    pub is: Compared,
}

/// Held against the deployment that passed last on this instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Nothing passed yet.
    First,
    /// It is the same.
    Same,
    /// It differs in its environment alone: by these keys, as far as they are known, of this secret.
    OtherValues {
        keys: Vec<String>,
        secret: String,
    },
    Other,
}

/// One line of "which setting, which value, from where".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub name: String,
    pub value: String,
    pub origin: String,
}

/// One thing to do. Steps whose needs are met may run at once.
#[derive(Debug, Serialize)]
pub struct Step {
    pub id: StepId,
    pub needs: Vec<StepId>,
    pub why: String,
    pub action: Action,
    pub timeout: Seconds,
    /// How many times it is tried in all.
    pub tries: u32,
    /// Tidying, without which the service serves as well: its failure degrades the run and does not end it.
    pub optional: bool,
    /// What is known once it is done. A step's id is for people only: no code goes by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// The steps of a plan by which a report and a run's next decision go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The release is whole.
    Whole,
    /// A candidate runs beside what serves.
    Candidate,
    /// It is recorded that the wanted deployment is put to run.
    Attempt,
    /// The wanted deployment is the current one.
    Switched,
    /// Its unit runs it.
    Started,
    /// It passed its health check.
    Passed,
    /// The recovery had the former deployment run again.
    BackStarted,
    /// And that one passed its health check.
    BackServing,
}

/// A step's stable name within its plan: `install`, `unit`, `gate`.
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
