//! What `bootagent status` tells: the last run's record and the reading of what serves now, brought together. Pure: the
//! same reading, the same view.

mod judge;
mod text;

use std::path::PathBuf;

use serde::Serialize;

use super::status::{State, Status};
use crate::error::ErrorReport;
use crate::facts::{Agent, Branch, Commit, Environment, Hold, Instance, Present, Service};

pub use judge::goes_on;
pub use text::{steps, text};

/// Of the JSON that `status` prints. The record of the last run in it has a number of its own.
pub const SCHEMA: u32 = 2;

/// All that a view is made of.
pub struct Seen {
    /// Of this boot; of a run whose agent is gone as it ended with that.
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
    /// Why it is not simply healthy: each in a few words, what matters most first.
    pub why: Vec<String>,
    pub service: Option<Service>,
    pub environment: Option<Environment>,
    pub unit: Option<String>,
    pub instance: Option<Instance>,
    pub serves: Option<Serves>,
    /// The commit that the last run wanted.
    pub wanted: Option<Commit>,
    /// What is wrong now, or else the last run's error.
    pub error: Option<ErrorReport>,
    pub last_run: Option<Status>,
    pub pinned: Option<Pinned>,
    pub held: Option<Hold>,
    /// With --remote: what the branch has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<Newer>,
    /// A run goes on, or is still to come.
    #[serde(skip)]
    pub is_pending: bool,
    #[serde(skip)]
    pub now: u64,
}

/// What serves, whatever any run wanted.
#[derive(Clone, Debug, Serialize)]
pub struct Serves {
    pub commit: Option<Commit>,
    pub release: Option<PathBuf>,
    /// The unit's state in systemd's words.
    pub active: String,
    /// Seconds since 1970.
    pub since: Option<u64>,
    pub invocation: String,
    /// Absent where it cannot be asked.
    pub answers: Option<bool>,
    /// What the probe said now.
    pub detail: String,
    /// It is the deployment that last passed its health check here; absent where none did, or only root can see it.
    pub passed: Option<bool>,
    /// By systemd, since the health check was passed.
    pub restarts: Option<u32>,
    pub recent_restarts: u32,
    pub last_restart: Option<u64>,
    /// What was changed by hand since.
    pub by_hand: Vec<String>,
    pub masked: bool,
}

/// The commit that this instance keeps until it is told otherwise, and the branch that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pinned {
    pub commit: Commit,
    pub branch: Branch,
    pub repository: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Newer {
    /// The branch's newest commit is another one than the pinned one.
    Commit(Commit),
    /// The pinned commit is the branch's newest.
    None,
    /// The branch could not be asked.
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
        }
    }
}
