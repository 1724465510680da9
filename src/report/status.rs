//! The content of /run/bootagent/status.json, which is a documented interface: `docs/reference/status.md`.

use serde::{Deserialize, Serialize};

use super::timeline::Timeline;

use crate::error::{Code, Error, ErrorReport, Result};
use crate::facts::{Agent, Branch, Commit, Environment, Instance, Service, SourceCopy};
use crate::plan::{Gate, Mark};
use crate::secret;

pub const PATH: &str = "/run/bootagent/status.json";
/// Only root can read it.
pub const OUTPUT: &str = "/run/bootagent/output.json";
pub const SCHEMA: u32 = 1;

/// Seconds without a heartbeat after which an agent without the lock counts as dead: six heartbeats, so that a slow
/// disk does not look like a dead agent.
const SILENCE: u64 = 6 * super::HEARTBEAT;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    NotStarted,
    /// A run is active, and no deployment that was healthy in this boot answers.
    Booting,
    /// A run is active, and a healthy deployment serves. Never in the file: `bootagent status` probes the service.
    Updating,
    Healthy,
    /// Healthy, but the clean-up failed: for example, old releases are still there.
    Warnings,
    /// The service serves, but not as wanted: the last run failed, or the service was changed by hand.
    Degraded,
    /// The instance waits in a warm pool, or an image is made of it: its release is complete, and nothing runs.
    Prepared,
    /// Nothing serves.
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::NotStarted => "not started",
            State::Booting => "booting",
            State::Updating => "updating",
            State::Healthy => "healthy",
            State::Warnings => "healthy, with warnings",
            State::Degraded => "degraded",
            State::Prepared => "prepared",
            State::Failed => "FAILED",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub schema: u32,
    pub state: State,
    pub agent: String,
    pub run_id: String,
    pub boot_id: String,
    pub pid: u32,
    /// The process's start time: with the pid it identifies the process, even if the pid is used again.
    pub pid_started: u64,
    /// Seconds since 1970, like all times here.
    pub started: u64,
    pub heartbeat: u64,
    pub finished: Option<u64>,
    pub instance: Option<Instance>,
    pub service: Option<Service>,
    pub environment: Option<Environment>,
    pub repository: Option<String>,
    pub branch: Option<Branch>,
    pub commit: Option<Commit>,
    /// The previous deployment's commit, if it serves after a failed run.
    pub serving: Option<Commit>,
    /// The last commit that was started on this instance, by this run or an earlier one.
    #[serde(default)]
    pub attempted: Option<Commit>,
    /// The last commit that passed its health check on this instance.
    #[serde(default)]
    pub passed: Option<Commit>,
    /// The copy of the repository from which the commit was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<SourceCopy>,
    pub unit: Option<String>,
    pub gate: Option<Gate>,
    pub notes: Vec<String>,
    /// The ongoing work: steps, and reads before there are steps.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
    pub steps: Vec<StepReport>,
    /// When each read and step began, and how long it took.
    #[serde(default)]
    pub timeline: Timeline,
    /// The first error of the run.
    pub error: Option<ErrorReport>,
    /// When systemd starts the run again, because nothing serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<u64>,
}

/// Ongoing work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// A step's id, or before there are steps what is read: `machine`, `metadata`, `tags`, `fetch`, `secret`,
    /// `node-index`.
    pub id: String,
    pub what: String,
    pub since: u64,
    /// Its last progress text.
    pub said: Option<String>,
}

impl Waiting {
    /// A line about the work, which has lasted `lasts` seconds.
    pub fn words(&self, lasts: u64) -> String {
        let said = self.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        format!("{}: {}, for {lasts} s{said}", self.id, self.what)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepReport {
    pub id: String,
    pub why: String,
    pub started: u64,
    pub seconds: Option<f64>,
    pub outcome: Outcome,
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Running,
    Unchanged,
    Changed,
    Failed,
}

impl Outcome {
    pub fn is_done(self) -> bool {
        matches!(self, Outcome::Unchanged | Outcome::Changed)
    }
}

impl StepReport {
    pub fn started(id: &str, why: &str, mark: Option<Mark>, started: u64) -> Self {
        StepReport {
            id: id.to_owned(),
            why: why.to_owned(),
            started,
            seconds: None,
            outcome: Outcome::Running,
            detail: None,
            mark,
        }
    }

    pub fn ended(&mut self, outcome: Outcome, took: std::time::Duration, detail: Option<String>) {
        self.outcome = outcome;
        self.seconds = Some((took.as_secs_f64() * 1000.0).round() / 1000.0);
        self.detail = detail;
    }

    pub fn changed(&self) -> bool {
        self.outcome == Outcome::Changed
    }
}

impl Status {
    pub fn booting(pid: u32, boot_id: String, run_id: String) -> Self {
        Status {
            schema: SCHEMA,
            state: State::Booting,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            run_id,
            boot_id,
            pid,
            pid_started: 0,
            started: 0,
            heartbeat: 0,
            finished: None,
            instance: None,
            service: None,
            environment: None,
            repository: None,
            branch: None,
            commit: None,
            serving: None,
            attempted: None,
            passed: None,
            origin: None,
            unit: None,
            gate: None,
            notes: Vec::new(),
            waiting: Vec::new(),
            steps: Vec::new(),
            timeline: Timeline::default(),
            error: None,
            retry_at: None,
        }
    }

    pub fn parse(text: &str) -> Result<Self> {
        /// The fields of every schema.
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
            agent: String,
        }
        let bad =
            |cause: String, remedy| Error::new(Code::Io, format!("reading {PATH}"), cause).remedy(remedy);
        match serde_json::from_str::<Head>(text) {
            Ok(Head { schema, agent }) if schema != SCHEMA => {
                let cause =
                    format!("bootagent {agent} wrote it, in schema {schema}; this one reads {SCHEMA}");
                Err(bad(cause, "use the bootagent that wrote it, or run this one"))
            }
            _ => serde_json::from_str(text).map_err(|error| {
                let cause = format!("it is not a status (line {}, column {})", error.line(), error.column());
                bad(cause, "another program changed it: the next run replaces it")
            }),
        }
    }

    /// A report of another machine, which any instance of its group could have written: without control characters and
    /// terminal sequences, and bounded.
    pub fn of_another_machine(text: &str) -> Result<Self> {
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        foreign(&mut value);
        Self::parse(&value.to_string()).map_err(|error| {
            let cause = error.report().causes.join(": ");
            Error::new(Code::FleetInvalid, "reading the report of the instance", cause)
        })
    }

    /// From now on `bootagent status` probes this deployment.
    pub fn probe(&mut self, gate: &Gate) {
        self.unit = Some(gate.unit.clone());
        self.gate = Some(gate.clone());
    }

    pub fn end(&mut self, state: State, now: u64) {
        self.state = state;
        self.finished = Some(now);
        self.waiting.clear();
        for step in self.steps.iter_mut().filter(|step| step.outcome == Outcome::Running) {
            step.outcome = Outcome::Failed;
            step.detail = Some("cancelled".to_owned());
        }
    }

    /// Ends the run of an agent that died, at the time of its last heartbeat.
    pub fn end_orphaned(&mut self, error: Error) {
        let words = |waiting: &Waiting| waiting.words(self.heartbeat.saturating_sub(waiting.since));
        let causes = self.waiting.iter().map(words);
        let error = causes.fold(error, |error, words| error.because(format!("waiting for {words}")));
        self.error.get_or_insert(error.report());
        for step in self.steps.iter_mut().filter(|step| step.outcome == Outcome::Running) {
            step.outcome = Outcome::Failed;
            step.detail = Some("unfinished when the agent died".to_owned());
        }
        self.end(State::Failed, self.heartbeat);
    }

    /// Whether the agent that wrote this status is dead, and why it counts as dead. The holder of the lock is alive,
    /// even without heartbeats: it may be stopped, or wait for a slow disk. If the kernel lists no lock, a living
    /// process with recent heartbeats counts as alive.
    pub fn is_orphaned(&self, boot_id: &str, agent: Agent, process_lives: bool, now: u64) -> Option<String> {
        if self.state != State::Booting {
            return None;
        }
        if self.boot_id != boot_id {
            return Some("the status is from an earlier boot".to_owned());
        }
        let gone = Some(format!("the agent (pid {}) is gone", self.pid));
        match agent {
            Agent::Lives(pid) if pid == self.pid => None,
            Agent::Lives(_) => gone,
            Agent::Gone | Agent::Unknown if !process_lives => gone,
            Agent::Gone | Agent::Unknown => {
                let silent = self.silent_for(now);
                (silent > SILENCE)
                    .then(|| format!("the agent (pid {}) has been silent for {silent} s", self.pid))
            }
        }
    }

    /// Seconds since the last heartbeat.
    fn silent_for(&self, now: u64) -> u64 {
        now.saturating_sub(self.heartbeat)
    }

    /// Seconds since the last heartbeat, if an active run should have updated it.
    pub fn silence(&self, now: u64) -> Option<u64> {
        let silent = self.silent_for(now);
        (self.state == State::Booting && silent > SILENCE).then_some(silent)
    }
}

fn foreign(value: &mut serde_json::Value) {
    /// Characters. The longest texts are command lines.
    const LONGEST: usize = 2000;
    match value {
        serde_json::Value::String(text) => {
            let lines: Vec<String> = text.lines().map(secret::clean).collect();
            *text = secret::cut(lines.join("\n"), LONGEST);
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(foreign),
        serde_json::Value::Object(all) => all.values_mut().for_each(foreign),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booting() -> Status {
        let mut status = Status::booting(17, "boot".into(), "run".into());
        status.heartbeat = 1000;
        status
    }

    #[test]
    fn a_status_of_another_schema_differs_from_a_broken_one() {
        let ours = serde_json::to_string(&booting()).unwrap();
        assert_eq!(Status::parse(&ours).unwrap().pid, 17);
        let newer = ours.replace("\"schema\":1", "\"schema\":7");
        assert!(Status::parse(&newer).unwrap_err().to_string().contains("in schema 7"));
        for text in ["", "[]", "{}", &ours[..100], &ours.replace("booting", "sleeping")] {
            let error = Status::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("it is not a status (line") && !error.contains("struct"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_living_process_with_heartbeats_is_not_orphaned() {
        for agent in [Agent::Lives(17), Agent::Unknown, Agent::Gone] {
            assert_eq!(booting().is_orphaned("boot", agent, true, 1000 + SILENCE), None);
        }
        let mut done = booting();
        done.end(State::Healthy, 1001);
        assert_eq!(done.is_orphaned("boot", Agent::Gone, false, 9999), None);
    }

    #[test]
    fn the_holder_of_the_lock_is_alive_without_heartbeats() {
        assert_eq!(booting().is_orphaned("boot", Agent::Lives(17), true, 9999), None);
        assert_eq!((booting().silence(1000 + SILENCE), booting().silence(1033)), (None, Some(33)));
    }

    #[test]
    fn the_run_of_a_dead_agent_has_no_ongoing_work() {
        let mut status = booting();
        status.steps.push(StepReport::started("install", "packages", None, 990));
        let said = Some("try 2".to_owned());
        status.waiting = vec![Waiting { id: "install".into(), what: "run npm ci".into(), since: 992, said }];
        status.end_orphaned(Error::new(Code::AgentDied, "booting", "the agent is gone"));
        assert!(status.waiting.is_empty() && status.steps[0].outcome == Outcome::Failed);
        assert_eq!((status.state, status.finished), (State::Failed, Some(1000)));
        let causes = status.error.unwrap().causes;
        assert_eq!(causes, ["the agent is gone", "waiting for install: run npm ci, for 8 s: try 2"]);
    }

    #[test]
    fn an_error_before_the_agent_died_is_kept() {
        let mut status = booting();
        status.error = Some(Error::new(Code::InstallFailed, "running npm ci", "status 1").report());
        status.end_orphaned(Error::new(Code::AgentDied, "booting", "the agent is gone"));
        assert_eq!(status.error.unwrap().code, "E-INSTALL-FAILED");
    }

    #[test]
    fn a_dead_or_silent_agent_and_one_of_an_earlier_boot_are_orphaned() {
        let orphaned = |boot, agent, lives, now| booting().is_orphaned(boot, agent, lives, now).unwrap();
        assert!(orphaned("boot", Agent::Unknown, false, 1000).contains("gone"));
        assert!(orphaned("boot", Agent::Unknown, true, 1001 + SILENCE).contains("silent"));
        assert!(orphaned("other", Agent::Lives(17), true, 1000).contains("earlier boot"));
        assert!(orphaned("boot", Agent::Gone, false, 1000).contains("gone"));
        assert!(orphaned("boot", Agent::Gone, true, 1001 + SILENCE).contains("silent"));
        // Another process holds the lock, so this agent cannot be active.
        assert!(orphaned("boot", Agent::Lives(18), true, 1000).contains("gone"));
    }
}
