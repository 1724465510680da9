//! What is said about a run: the status file after every step and on every way out, the journal,
//! the terminal's progress, and five lines on the console at the end.

mod console;
mod ending;
mod known;
mod ongoing;
mod publication;
mod serving;
pub mod status;
mod terminal;
pub mod view;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::facts::{Commit, Instance};
use crate::machine::progress::ProgressText;
use crate::machine::{self, Change, now};
use crate::observe::Selection;
use crate::plan::{Action, Mark, Plan, Step, StepId};
use crate::secret::Redaction;
use ongoing::Ongoing;
use status::{Outcome, Status, StepReport};

pub use ongoing::line as living_text;
pub use publication::read;
pub use terminal::{LivingLine, print, tell};

/// How often a booting agent proves that it is alive, in seconds.
pub const HEARTBEAT: u64 = 5;
const TICK: Duration = Duration::from_secs(1);

/// How progress is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Silent,
    /// Lines that stay: a log, a console.
    Lines,
    /// Besides, one line that lives: a terminal.
    Living,
}

pub struct Report {
    status: Mutex<Status>,
    /// A dry run writes nothing.
    is_published: bool,
    /// What is refused at once, a flag say, is no run: until it is seen to be one, the status is the last run's.
    has_begun: AtomicBool,
    before: publication::Kept,
    progress: Progress,
    living: Mutex<LivingLine>,
    ongoing: Mutex<Ongoing>,
    started: Instant,
}

impl Report {
    pub fn new(progress: Progress, run_id: String) -> Self {
        let mut status = Status::booting(machine::pid(), machine::boot_id(), run_id);
        status.started = now();
        status.pid_started = machine::started(machine::pid()).unwrap_or(0);
        status.heartbeat = status.started;
        Report {
            status: Mutex::new(status),
            is_published: false,
            has_begun: AtomicBool::new(false),
            before: publication::Kept::default(),
            progress,
            living: Default::default(),
            ongoing: Default::default(),
            started: Instant::now(),
        }
    }

    /// The same, for everybody to read.
    pub fn published(self) -> Self {
        Report { is_published: true, before: publication::Kept::now(), ..self }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        locked(&self.status)
    }

    /// Changes the status and writes it. A status that cannot be written is logged, not fatal: the
    /// service matters more than the word about it.
    fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status();
        status.waiting = locked(&self.ongoing).waiting();
        change(&mut status);
        status.heartbeat = now();
        if self.is_published
            && self.has_begun.load(Ordering::Relaxed)
            && let Err(error) = publication::publish(&status)
        {
            tracing::error!(%error, "the status file cannot be written");
        }
    }

    fn say(&self, line: &str) {
        if self.progress != Progress::Silent {
            locked(&self.living).clear();
            tell(format_args!("bootagent {:6.1} s  {line}", self.started.elapsed().as_secs_f64()));
        }
    }

    /// Carries the run out, proves all along that the agent lives, and tells what it waits for.
    pub async fn accompany<T>(&self, work: impl Future<Output = T>) -> T {
        let done = tokio::select! {
            done = work => done,
            never = self.tick_on() => never,
        };
        locked(&self.living).clear();
        done
    }

    async fn tick_on<T>(&self) -> T {
        loop {
            tokio::time::sleep(TICK).await;
            self.tick();
        }
    }

    fn tick(&self) {
        let waiting = locked(&self.ongoing).waiting();
        let status = self.status();
        let is_due = status.waiting != waiting || now().saturating_sub(status.heartbeat) >= HEARTBEAT;
        drop(status);
        if is_due {
            self.begin();
        }
        let lines = locked(&self.ongoing).lines(Instant::now());
        if self.is_published {
            lines.iter().for_each(|line| tracing::info!("{line}"));
        }
        match self.progress {
            Progress::Silent => {}
            Progress::Lines => lines.iter().for_each(|line| self.say(line)),
            Progress::Living => match ongoing::line(&waiting, now()) {
                Some(line) => {
                    let line = format!("bootagent {:4} s  {line}", self.started.elapsed().as_secs());
                    locked(&self.living).show(&line);
                }
                None => locked(&self.living).clear(),
            },
        }
    }

    /// Carries out one of the things that a run waits for, and hears what it says of itself. No secret of the service
    /// is in reach of it.
    pub async fn during<T>(&self, id: &str, what: &str, work: impl Future<Output = T>) -> T {
        self.hearing(id, what, Some(&Redaction::default()), work).await
    }

    /// The same for what may say secrets again: `redaction` knows them, or else what it quotes is not shown.
    pub async fn hearing<T>(
        &self,
        id: &str,
        what: &str,
        redaction: Option<&Redaction>,
        work: impl Future<Output = T>,
    ) -> T {
        let said = ProgressText::new(redaction);
        let (key, said) = locked(&self.ongoing).begin(id, what, said, Instant::now(), now());
        // Also when it is not waited for any longer.
        let ended = Ended { report: self, key };
        let done = said.hear(work).await;
        drop(ended);
        said.notes().into_iter().for_each(|note| self.note(note));
        done
    }

    /// What comes to be known on the way, and stays to be known.
    pub fn note(&self, note: String) {
        self.say(&format!("note: {note}"));
        self.update(|status| status.notes.push(note));
    }

    /// What a thing that goes on last said of itself.
    pub fn said(&self, id: &str) -> Option<String> {
        locked(&self.ongoing).said(id)
    }

    /// The wait is over: what was waited for, and what it said last, are causes of that.
    pub fn waiting_for(&self, error: Error) -> Error {
        let ongoing = locked(&self.ongoing).words(Instant::now());
        ongoing.into_iter().fold(error, |error, words| error.because(format!("waiting for {words}")))
    }

    /// From now on the status is this run's.
    fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
        self.update(|_| {});
    }

    pub fn started(&self) {
        self.say("looking at the machine, the instance and the policy");
    }

    pub fn instance(&self, instance: &Instance) {
        self.update(|status| status.instance = Some(instance.clone()));
    }

    /// `is_pinned`: the commit is known already, and nothing is fetched for it.
    pub fn selected(&self, selection: &Selection, is_pinned: bool) {
        self.begin();
        self.update(|status| {
            status.service = Some(selection.service.clone());
            status.environment = Some(selection.environment.clone());
            status.repository = Some(selection.repository.clone());
            status.branch = Some(selection.branch.clone());
        });
        let source = match &selection.pinned {
            Some(commit) if is_pinned => format!("commit {} is pinned", commit.short()),
            _ => format!("fetching {} of {}", selection.branch, selection.repository),
        };
        let Selection { service, environment, secret, .. } = selection;
        self.say(&format!("{service} ({environment}): {source}, reading {secret}"));
    }

    pub fn planned(&self, plan: &Plan) {
        self.update(|status| {
            status.commit = Some(plan.commit.clone());
            status.unit = Some(plan.unit.clone());
            status.notes = plan.notes.clone();
            status.gate = plan.steps.iter().find_map(|step| match &step.action {
                Action::AwaitHealth(wait) if wait.gate.unit == plan.unit => Some(wait.gate.clone()),
                _ => None,
            });
        });
        self.say(&format!("commit {}, {} steps", plan.commit.short(), plan.steps.len()));
        for note in &plan.notes {
            self.say(&format!("note: {note}"));
        }
    }

    pub fn step_started(&self, step: &Step, headline: &str) {
        let Step { id, why, mark, .. } = step;
        self.update(|status| status.steps.push(StepReport::started(id.as_str(), why, *mark, now())));
        tracing::debug!(step = id.as_str(), "{headline}");
    }

    pub fn step_ended(
        &self,
        id: &StepId,
        headline: &str,
        took: std::time::Duration,
        result: &Result<Change>,
    ) {
        let (outcome, detail) = match result {
            Ok(Change::Unchanged) => (Outcome::Unchanged, None),
            Ok(Change::Changed(how)) => (Outcome::Changed, Some(how.clone())),
            Err(error) => (Outcome::Failed, Some(error.report().causes.join(": "))),
        };
        self.update(|status| {
            let Some(step) = status.steps.iter_mut().rev().find(|step| step.id == id.as_str()) else {
                return;
            };
            step.ended(outcome, took, detail.clone());
            match step.mark {
                Some(Mark::Attempt) if outcome.is_done() => status.attempted = status.commit.clone(),
                Some(Mark::Passed) if outcome.is_done() => status.passed = status.commit.clone(),
                _ => {}
            }
        });
        let milliseconds = took.as_millis() as u64;
        let status = self.status();
        let (service, commit) = (name(&status.service), name(&status.commit));
        let run_id = status.run_id.clone();
        drop(status);
        match result {
            Ok(Change::Unchanged) => tracing::debug!(
                step = id.as_str(),
                service,
                commit,
                run_id,
                duration_ms = milliseconds,
                "{headline}: already so"
            ),
            Ok(Change::Changed(_)) => {
                tracing::info!(
                    step = id.as_str(),
                    service,
                    commit,
                    run_id,
                    duration_ms = milliseconds,
                    "{headline}"
                );
                self.say(&format!("{id}: {headline} ({:.1} s)", took.as_secs_f64()));
            }
            Err(error) => {
                let code = error.code().name();
                tracing::error!(
                    step = id.as_str(),
                    service,
                    commit,
                    run_id,
                    duration_ms = milliseconds,
                    code,
                    "{error}"
                );
                self.say(&format!("{id}: FAILED after {:.1} s", took.as_secs_f64()));
            }
        }
    }

    pub fn has_done(&self, id: &StepId) -> bool {
        let done = |step: &StepReport| step.id == id.as_str() && step.outcome.is_done();
        self.status().steps.iter().any(done)
    }

    /// What earlier runs left to know.
    pub fn remembered(&self, passed: Option<&Commit>, attempted: Option<&Commit>) {
        self.update(|status| {
            status.passed = passed.cloned();
            status.attempted = attempted.cloned();
        });
    }

    /// The same of a run that ended before it knew its service.
    pub fn passed_here(&self, commit: &Commit) {
        self.update(|status| {
            status.passed.get_or_insert(commit.clone());
        });
    }

    /// Told before the recovery, which may take a while and fail in its own ways.
    pub fn first_error(&self, error: &Error) {
        self.update(|status| status.error = Some(error.report()));
        self.say(&error.to_string());
    }

    pub fn recovering(&self) {
        self.say("going back to what is safe");
    }
}

/// Something that goes on until this is dropped.
struct Ended<'a> {
    report: &'a Report,
    key: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        locked(&self.report.ongoing).end(self.key);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name<T: std::fmt::Display>(of: &Option<T>) -> String {
    of.as_ref().map(T::to_string).unwrap_or_default()
}
