//! The present state of the service, for `bootagent status`. Plain data, read from the machine in one go.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Commit, Gate, Good, Service};

/// A service is in a crash loop if systemd restarted it this often within `CRASH_LOOP_SECONDS`.
pub const CRASH_LOOP_RESTARTS: u32 = 3;
pub const CRASH_LOOP_SECONDS: u64 = 600;

/// What the status of the last run says: which service to read, and how to probe it if no deployment of it was healthy
/// yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub service: Option<Service>,
    pub instance: Option<String>,
    pub gate: Option<Gate>,
}

/// The service of this machine, read from systemd, the records and the service's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    pub service: Service,
    /// The release that `current` points to.
    pub release: Option<PathBuf>,
    /// The commit of `release`.
    pub commit: Option<Commit>,
    /// The last healthy deployment on this instance; none if only root can read its record.
    pub good: Option<Good>,
    /// `release` is the release of `good`.
    pub is_good: bool,
    pub unit: UnitPresent,
    /// The units beside it.
    pub beside: Vec<BesidePresent>,
    /// Whether the probe of the health check succeeds; none if it could not be run.
    pub answers: Option<bool>,
    /// The probe's result, or why it could not be run.
    pub detail: String,
    /// When the deployment passed its health check, if it did in this boot.
    pub passed: Option<Passed>,
    pub restarts: Restarts,
    /// Differences from what the last run installed, each in a few words.
    pub by_hand: Vec<String>,
    pub held: Option<Hold>,
}

/// The state of the service's unit in systemd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitPresent {
    pub name: String,
    pub active: String,
    pub sub: String,
    pub is_masked: bool,
    /// It is inactive with `Result=success`: it was stopped.
    pub is_stopped: bool,
    /// When it became active, in seconds since 1970; none if it is not active.
    pub since: Option<u64>,
    pub invocation: String,
}

/// The state of a unit beside the service's, such as a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BesidePresent {
    pub unit: String,
    /// Its `ActiveState`.
    pub active: String,
    /// How often systemd restarted it since it was started.
    pub restarts: u32,
}

impl UnitPresent {
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }
}

/// A health check that a deployment passed in this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Seconds since 1970; none in a mark of an earlier version, or if only root may read it.
    pub at: Option<u64>,
}

/// How often systemd restarted the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// Restarts since the deployment passed its health check; none if that time is unknown.
    pub since_check: Option<u32>,
    /// The time of the last restart, in seconds since 1970.
    pub last: Option<u64>,
    /// Restarts within the last `CRASH_LOOP_SECONDS`.
    pub recent: u32,
}

impl Restarts {
    pub fn is_crash_loop(&self) -> bool {
        self.recent >= CRASH_LOOP_RESTARTS
    }
}

/// An operator's order that no run may change this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Seconds since 1970.
    pub since: u64,
    #[serde(default)]
    pub reason: String,
}

/// Whether a run is active, from the kernel's list of file locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// The process with this pid holds the lock of runs.
    Lives(u32),
    Gone,
    /// The kernel's list of locks cannot be read.
    Unknown,
}
