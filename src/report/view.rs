//! The content of `bootagent status`, made of the status of the last run and the present state of the service. Pure.

mod judge;
mod text;
mod timings;

use std::path::PathBuf;

use serde::Serialize;

use super::status::{State, Status};
use crate::error::ErrorReport;
use crate::facts::{
    Agent, BesidePresent, Branch, Commit, Environment, Hold, Instance, Present, Service, Watched,
};

pub use judge::goes_on;
pub use text::{age, report, steps, text};
pub use timings::Timings;

/// The schema of the JSON that `bootagent status --output json` prints. `last_run` in it has the schema of the status file.
pub const SCHEMA: u32 = 2;

/// The input of a view.
pub struct Seen {
    /// The status of the last run in this boot. If its agent is dead, the status is already ended.
    pub record: Option<Status>,
    pub agent: Agent,
    pub present: Option<Present>,
    pub pinned: Option<Pinned>,
    /// Seconds since 1970.
    pub now: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct View {
    pub schema: u32,
    pub state: State,
    /// Why the state is not healthy: each reason in a few words, the most important first.
    pub why: Vec<String>,
    pub service: Option<Service>,
    pub environment: Option<Environment>,
    pub unit: Option<String>,
    pub instance: Option<Instance>,
    pub serves: Option<Serves>,
    /// The commit that the last run wanted.
    pub wanted: Option<Commit>,
    /// The present error, or else the last run's.
    pub error: Option<ErrorReport>,
    pub last_run: Option<Status>,
    pub pinned: Option<Pinned>,
    pub held: Option<Hold>,
    /// With --remote: the branch's newest commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<Newer>,
    /// What the watcher has seen in this boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watched>,
    /// Whether a run is active, or none has begun in this boot.
    #[serde(skip)]
    pub is_pending: bool,
    #[serde(skip)]
    pub now: u64,
}

/// The serving deployment, regardless of what runs wanted.
#[derive(Clone, Debug, Serialize)]
pub struct Serves {
    pub commit: Option<Commit>,
    pub release: Option<PathBuf>,
    /// The unit's `ActiveState`.
    pub active: String,
    /// Seconds since 1970.
    pub since: Option<u64>,
    pub invocation: String,
    /// Whether the probe succeeds; none if it could not be run.
    pub answers: Option<bool>,
    /// The probe's result.
    pub detail: String,
    /// Whether it is the last healthy deployment; none if there is none, or only root can read its record.
    pub passed: Option<bool>,
    /// Restarts by systemd since the health check.
    pub restarts: Option<u32>,
    pub recent_restarts: u32,
    pub last_restart: Option<u64>,
    /// Differences from what the last run installed.
    pub by_hand: Vec<String>,
    pub masked: bool,
    /// The units beside the service's: its proxy, and processes and timers of the manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<BesidePresent>,
}

/// The commit that this instance keeps until an update or rollback, and its branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pinned {
    pub commit: Commit,
    pub branch: Branch,
    pub repository: String,
    /// Whether it is the text of the operator's manifest, of a service without a repository.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_manifest: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Newer {
    /// The branch's newest commit, which is not the pinned one.
    Commit(Commit),
    /// The pinned commit is the branch's newest one.
    None,
    /// Reading the branch failed.
    Unknown(ErrorReport),
}

impl View {
    pub fn of(seen: Seen) -> View {
        let judged = judge::judge(&seen);
        let Seen { record, present, pinned, agent, now } = seen;
        let run = record.as_ref();
        let (serves, held) = match &present {
            Some(present) => (Some(Serves::of(present)), present.held.clone()),
            None => (None, None),
        };
        View {
            schema: SCHEMA,
            state: judged.state,
            why: judged.why,
            service: present
                .as_ref()
                .map(|present| present.service.clone())
                .or(run.and_then(|run| run.service.clone())),
            environment: run.and_then(|run| run.environment.clone()),
            unit: present
                .as_ref()
                .map(|present| present.unit.name.clone())
                .or(run.and_then(|run| run.unit.clone())),
            instance: run.and_then(|run| run.instance.clone()),
            serves,
            wanted: run
                .and_then(|run| run.commit.clone())
                .or(pinned.as_ref().map(|pinned| pinned.commit.clone())),
            error: judged.error,
            is_pending: judge::goes_on(record.as_ref(), agent) || judged.state == State::NotStarted,
            last_run: record,
            pinned,
            held,
            newer: None,
            watched: None,
            now,
        }
    }
}

impl Serves {
    fn of(present: &Present) -> Serves {
        let Present { unit, restarts, .. } = present;
        Serves {
            commit: present.commit.clone(),
            release: present.release.clone(),
            active: unit.active.clone(),
            since: unit.since,
            invocation: unit.invocation.clone(),
            answers: present.answers,
            detail: present.detail.clone(),
            passed: present.good.is_some().then_some(present.is_good),
            restarts: restarts.since_check,
            recent_restarts: restarts.recent,
            last_restart: restarts.last,
            by_hand: present.by_hand.clone(),
            masked: unit.is_masked,
            beside: present.beside.clone(),
        }
    }
}
