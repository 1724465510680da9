//! The status contract: what /run/bootagent/status.json says, and what is made of it.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, ErrorReport, Result};
use crate::facts::{Agent, Branch, Commit, Environment, Instance, Service};
use crate::plan::{Gate, Mark};

pub const PATH: &str = "/run/bootagent/status.json";
/// Root's alone.
pub const OUTPUT: &str = "/run/bootagent/output.json";
pub const SCHEMA: u32 = 1;

/// An agent that was silent for this long is dead: six heartbeats.
const SILENCE: u64 = 6 * super::HEARTBEAT;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    NotStarted,
    /// A run goes on, and nothing that passed its health check in this boot answers yet.
    Booting,
    /// A run goes on, and meanwhile something serves. Never in the file: only a look at the service tells.
    Updating,
    Healthy,
    /// Healthy, and something beside the service failed: old releases or runtimes are still there.
    Warnings,
    /// It serves, but not what was asked for.
    Degraded,
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
    /// With the pid it names the agent's process for good.
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
    /// What serves after a failed run, because it passed before: the run went back to it, or never touched it.
    pub serving: Option<Commit>,
    /// What was last put to run on this instance, by this run or an earlier one.
    #[serde(default)]
    pub attempted: Option<Commit>,
    /// What last passed its gate on it.
    #[serde(default)]
    pub passed: Option<Commit>,
    pub unit: Option<String>,
    pub gate: Option<Gate>,
    pub notes: Vec<String>,
    /// What goes on at this moment, before there are steps, too.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
    pub steps: Vec<StepReport>,
    /// The first error of the run.
    pub error: Option<ErrorReport>,
    /// When it is tried again by itself, because nothing serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<u64>,
}

/// Something that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// A step's id, or what is looked at before there are steps: `machine`, `metadata`, `tags`, `fetch`,
    /// `secret`, `node-index`.
    pub id: String,
    pub what: String,
    pub since: u64,
    /// What it last said itself.
    pub said: Option<String>,
}

impl Waiting {
    /// What goes on, for how many seconds, and what it last said.
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
            unit: None,
            gate: None,
            notes: Vec::new(),
            waiting: Vec::new(),
            steps: Vec::new(),
            error: None,
            retry_at: None,
        }
    }

    pub fn parse(text: &str) -> Result<Self> {
        /// What every version says.
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
                Err(bad(cause, "ask the bootagent that wrote it, or run this one"))
            }
            _ => serde_json::from_str(text).map_err(|error| {
                let cause = format!("it is not a status (line {}, column {})", error.line(), error.column());
                bad(cause, "another program changed it: the next run replaces it")
            }),
        }
    }

    /// From now on this is what a look at the service asks.
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

    /// Of a run whose agent died nothing goes on any more: it ended with its last heartbeat.
    pub fn end_orphaned(&mut self, error: Error) {
        let words = |waiting: &Waiting| waiting.words(self.heartbeat.saturating_sub(waiting.since));
        let causes = self.waiting.iter().map(words);
        let error = causes.fold(error, |error, words| error.because(format!("waiting for {words}")));
        self.error.get_or_insert(error.report());
        for step in self.steps.iter_mut().filter(|step| step.outcome == Outcome::Running) {
            step.outcome = Outcome::Failed;
            step.detail = Some("not over when the agent died".to_owned());
        }
        self.end(State::Failed, self.heartbeat);
    }

    /// Whether this is the word of an agent that can no longer speak. The kernel's lock tells: an agent that is silent
    /// for long may be stopped, or have a slow disk, and still goes on. Where no lock is seen (a kernel that lists none),
    /// its process counts, unless it is silent.
    pub fn is_orphaned(&self, boot_id: &str, agent: Agent, process_lives: bool, now: u64) -> Option<String> {
        if self.state != State::Booting {
            return None;
        }
        if self.boot_id != boot_id {
            return Some("it is of an earlier boot".to_owned());
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

    /// How long ago the agent proved last that it lives.
    fn silent_for(&self, now: u64) -> u64 {
        now.saturating_sub(self.heartbeat)
    }

    /// Of an agent that lives and should have spoken by now.
    pub fn silence(&self, now: u64) -> Option<u64> {
        let silent = self.silent_for(now);
        (self.state == State::Booting && silent > SILENCE).then_some(silent)
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
    fn another_version_s_status_is_told_from_one_that_is_none() {
        let ours = serde_json::to_string(&booting()).unwrap();
        assert_eq!(Status::parse(&ours).unwrap().pid, 17);
        let newer = ours.replace("\"schema\":1", "\"schema\":7");
        assert!(Status::parse(&newer).unwrap_err().to_string().contains("in schema 7"));
        for text in ["", "[]", "{}", &ours[..100], &ours.replace("booting", "sleeping")] {
            let told = Status::parse(text).unwrap_err().to_string();
            assert!(told.contains("it is not a status (line") && !told.contains("struct"), "{text}: {told}");
        }
    }

    #[test]
    fn a_living_agent_is_believed() {
        for agent in [Agent::Lives(17), Agent::Unknown, Agent::Gone] {
            assert_eq!(booting().is_orphaned("boot", agent, true, 1000 + SILENCE), None);
        }
        let mut done = booting();
        done.end(State::Healthy, 1001);
        assert_eq!(done.is_orphaned("boot", Agent::Gone, false, 9999), None);
    }

    #[test]
    fn an_agent_that_holds_the_lock_lives_however_long_it_is_silent() {
        assert_eq!(booting().is_orphaned("boot", Agent::Lives(17), true, 9999), None);
        assert_eq!((booting().silence(1000 + SILENCE), booting().silence(1033)), (None, Some(33)));
    }

    #[test]
    fn nothing_goes_on_in_the_run_of_a_dead_agent() {
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
    fn what_was_told_before_the_agent_died_stays_the_first_error() {
        let mut status = booting();
        status.error = Some(Error::new(Code::InstallFailed, "running npm ci", "status 1").report());
        status.end_orphaned(Error::new(Code::AgentDied, "booting", "the agent is gone"));
        assert_eq!(status.error.unwrap().code, "E-INSTALL-FAILED");
    }

    #[test]
    fn a_dead_silent_or_former_agent_is_not() {
        let orphaned = |boot, agent, lives, now| booting().is_orphaned(boot, agent, lives, now).unwrap();
        assert!(orphaned("boot", Agent::Unknown, false, 1000).contains("gone"));
        assert!(orphaned("boot", Agent::Unknown, true, 1001 + SILENCE).contains("silent"));
        assert!(orphaned("other", Agent::Lives(17), true, 1000).contains("earlier boot"));
        assert!(orphaned("boot", Agent::Gone, false, 1000).contains("gone"));
        assert!(orphaned("boot", Agent::Gone, true, 1001 + SILENCE).contains("silent"));
        // Another one has the lock: this one cannot be active.
        assert!(orphaned("boot", Agent::Lives(18), true, 1000).contains("gone"));
    }
}
