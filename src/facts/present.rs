//! What serves at this moment, as the machine tells it: plain data. One reading of it stands behind `bootagent status`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Commit, Gate, Good, Service};

/// Restarts that count as a crash loop: this many, as long as the first of them is not older than `CRASH_LOOP_SECONDS`.
pub const CRASH_LOOP_RESTARTS: u32 = 3;
pub const CRASH_LOOP_SECONDS: u64 = 600;

/// What the record of the last run knows. It says which service is read, and how it is probed where no deployment of it
/// passed its health check yet.
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
    /// Where `current` points to, and the commit of that release.
    pub release: Option<PathBuf>,
    pub commit: Option<Commit>,
    /// The deployment that last passed its health check on this instance; absent where only root could see it.
    pub good: Option<Good>,
    /// `current` is that very deployment's release.
    pub is_good: bool,
    pub unit: UnitPresent,
    /// What the probe of the good deployment's health check says; absent where it cannot be asked.
    pub answers: Option<bool>,
    /// The probe's own words, or why there was none.
    pub detail: String,
    /// When the deployment passed its health check, if it did in this boot.
    pub passed: Option<Passed>,
    pub restarts: Restarts,
    /// What differs from what the last run put there: each in a few words.
    pub by_hand: Vec<String>,
    pub held: Option<Hold>,
}

/// What systemd says of the service's unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitPresent {
    pub name: String,
    pub active: String,
    pub sub: String,
    pub is_masked: bool,
    /// It is down, and systemd calls that a success: it was stopped.
    pub is_stopped: bool,
    /// Seconds since 1970; of a unit that is active.
    pub since: Option<u64>,
    pub invocation: String,
}

impl UnitPresent {
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }
}

/// A health check that was passed in this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Seconds since 1970; absent in a mark of an earlier version, or where only root may read it.
    pub at: Option<u64>,
}

/// How often systemd restarted the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// Since the health check was passed; absent where that is not known.
    pub since_check: Option<u32>,
    /// Seconds since 1970.
    pub last: Option<u64>,
    /// Of these, within the last ten minutes.
    pub recent: u32,
}

impl Restarts {
    pub fn is_crash_loop(&self) -> bool {
        self.recent >= CRASH_LOOP_RESTARTS
    }
}

/// An operator's word that this machine stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Seconds since 1970.
    pub since: u64,
    #[serde(default)]
    pub reason: String,
}

/// Whether a run goes on, as the kernel's lock tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// This process holds the lock of runs.
    Lives(u32),
    Gone,
    /// The kernel's list of locks cannot be read.
    Unknown,
}
