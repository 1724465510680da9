//! Reports a run: the status file, entries in the journal, progress on standard error, and five lines on the console.
//!
//! A report that cannot be written never ends a run. Foreign text gets here only redacted.

mod accompany;
mod console;
mod ending;
mod evidence;
mod known;
mod ongoing;
mod publication;
mod rhythm;
mod serving;
pub mod status;
mod terminal;
pub mod timeline;
pub mod view;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::facts::{Commit, Instance};
use crate::machine::{self, Change, now, progress::ProgressText};
use crate::observe::Selection;
use crate::plan::{Action, Mark, Plan, Step, StepId};
use crate::secret::Redaction;
use ongoing::Ongoing;
use rhythm::Rhythm;
use status::{Outcome, Status, StepReport};
use timeline::Timeline;

pub use ongoing::line as status_text;
pub use publication::read;
pub use terminal::{StatusLine, print, print_line, tell};

/// Seconds between two updates of the status file's heartbeat, which shows that the agent is alive.
pub const HEARTBEAT: u64 = 5;

/// How a run shows its progress on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Silent,
    /// Only errors, and how a run ended that failed.
    Quiet,
    /// Lines only, for a log or a console.
    Lines,
    /// Lines, and below them one line that is rewritten in place, for a terminal.
    Living,
}

pub struct Report {
    status: Mutex<Status>,
    /// Whether this run writes status file, journal and console. A dry run does not.
    is_published: bool,
    /// Whether the status file is this run's already. A run that is refused at once, as for a wrong flag, must leave
    /// the status of the last run as it is.
    has_begun: AtomicBool,
    before: publication::Kept,
    rhythm: Rhythm,
    progress: Progress,
    living: Mutex<StatusLine>,
    ongoing: Mutex<Ongoing>,
    started: Instant,
}

impl Report {
    pub fn new(progress: Progress, run_id: String) -> Self {
        let mut status = Status::booting(machine::pid(), machine::boot_id(), run_id);
        status.started = now();
        status.pid_started = machine::started(machine::pid()).unwrap_or(0);
        status.heartbeat = status.started;
        status.timeline = Timeline::begin();
        Report {
            status: Mutex::new(status),
            is_published: false,
            has_begun: AtomicBool::new(false),
            before: publication::Kept::default(),
            rhythm: Rhythm::default(),
            progress,
            living: Default::default(),
            ongoing: Default::default(),
            started: Instant::now(),
        }
    }

    /// The same report, written to status file, journal and console.
    pub fn published(self) -> Self {
        Report { is_published: true, before: publication::Kept::now(), ..self }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        locked(&self.status)
    }

    /// Changes the status, and writes the file now or a moment later (see `Rhythm`).
    fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status();
        status.waiting = locked(&self.ongoing).waiting();
        change(&mut status);
        status.heartbeat = now();
        if self.is_published && self.has_begun.load(Ordering::Relaxed) && self.rhythm.is_now() {
            self.write(&status);
        }
    }

    /// Writes the file. If that fails, the run continues: the service matters more than its status.
    fn write(&self, status: &Status) {
        if let Err(error) = publication::publish(status) {
            tracing::error!(%error, "the status file cannot be written");
        }
        self.rhythm.written();
    }

    /// Writes what `update` left for later.
    pub fn write_rest(&self) {
        if self.rhythm.is_due() {
            self.write(&self.status());
        }
    }

    fn say(&self, line: &str) {
        if self.progress != Progress::Quiet {
            self.say_error(line);
        }
    }

    /// What `--quiet` shows, too.
    fn say_error(&self, line: &str) {
        if self.progress != Progress::Silent {
            locked(&self.living).clear();
            tell(format_args!("bootagent {:6.1} s  {line}", self.started.elapsed().as_secs_f64()));
        }
    }

    /// Runs `work`, one of the things that a run waits for, and shows its progress texts. Only for work that cannot
    /// know a secret of the service.
    pub async fn during<T>(&self, id: &str, what: &str, work: impl Future<Output = T>) -> T {
        self.hearing(id, what, Some(&Redaction::default()), work).await
    }

    /// The same for work that may quote secrets: `redaction` knows them. Without one, foreign text is not shown.
    pub async fn hearing<T>(
        &self,
        id: &str,
        what: &str,
        redaction: Option<&Redaction>,
        work: impl Future<Output = T>,
    ) -> T {
        let progress = ProgressText::new(redaction);
        let (key, progress) = locked(&self.ongoing).begin(id, what, progress, Instant::now(), now());
        // Dropped as well when the caller cancels this future.
        let ended = Ended { report: self, key };
        let done = progress.hear(work).await;
        drop(ended);
        progress.notes().into_iter().for_each(|note| self.note(note));
        done
    }

    /// Adds a note to the status, and shows it.
    pub fn note(&self, note: String) {
        self.say(&format!("note: {note}"));
        self.update(|status| status.notes.push(note));
    }

    /// The last progress text of the ongoing work `id`.
    pub fn said(&self, id: &str) -> Option<String> {
        locked(&self.ongoing).said(id)
    }

    /// Adds to the error of an expired time limit what the run was waiting for, with its last progress texts.
    pub fn waiting_for(&self, error: Error) -> Error {
        let ongoing = locked(&self.ongoing).words(Instant::now());
        ongoing.into_iter().fold(error, |error, words| error.because(format!("waiting for {words}")))
    }

    /// From now on the status file is this run's.
    fn claim(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    pub fn started(&self) {
        self.say("reading the machine, the instance and the policy");
    }

    pub fn instance(&self, instance: &Instance) {
        self.update(|status| status.instance = Some(instance.clone()));
    }

    /// `is_pinned`: the instance keeps its commit, so that nothing is fetched.
    pub fn selected(&self, selection: &Selection, is_pinned: bool) {
        self.claim();
        self.update(|status| {
            status.service = Some(selection.service.clone());
            status.environment = Some(selection.environment.clone());
            status.repository = Some(selection.repository.clone());
            status.branch = Some(selection.branch.clone());
        });
        let source = match &selection.pinned {
            Some(commit) if is_pinned => format!("commit {} is pinned", commit.short()),
            _ if selection.is_manifest => format!("reading {}", selection.repository),
            _ => format!("fetching {} of {}", selection.branch, selection.repository),
        };
        let Selection { service, environment, secret, .. } = selection;
        self.say(&format!("{service} ({environment}): {source}, reading {secret}"));
    }

    /// Service and environment, before the commit is known.
    pub fn chosen(&self, selection: &Selection) {
        self.update(|status| {
            status.service = Some(selection.service.clone());
            status.environment = Some(selection.environment.clone());
        });
    }

    pub fn planned(&self, plan: &Plan) {
        self.update(|status| {
            status.commit = Some(plan.commit.clone());
            status.unit = Some(plan.unit.clone());
            status.origin = plan.origin.clone();
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

    /// The second plan of a run. The status keeps the wanted commit, which failed.
    pub fn planned_in_place_of(&self, plan: &Plan, wanted: &Commit) {
        let before = self.status().notes.clone();
        self.planned(plan);
        self.update(|status| {
            status.commit = Some(wanted.clone());
            status.notes = before.into_iter().chain(std::mem::take(&mut status.notes)).collect();
            status.notes.dedup();
        });
    }

    /// The public part of the status, for the fleet memory.
    pub fn public_text(&self) -> Option<String> {
        publication::public_text(&self.status())
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
                "{headline}: unchanged"
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

    /// Adds the commits from the records of earlier runs.
    pub fn remembered(&self, passed: Option<&Commit>, attempted: Option<&Commit>) {
        self.update(|status| {
            status.passed = passed.cloned();
            status.attempted = attempted.cloned();
        });
    }

    /// Adds the last healthy commit, in a run that failed before it selected its service.
    pub fn passed_here(&self, commit: &Commit) {
        self.update(|status| {
            status.passed.get_or_insert(commit.clone());
        });
    }

    /// Reports the run's error before the recovery, which can take minutes and fail with other errors.
    pub fn first_error(&self, error: &Error) {
        self.update(|status| status.error = Some(error.report()));
        // Programs that the operator wants to be told may read it now.
        self.write_rest();
        self.say_error(&error.to_string());
    }

    pub fn recovering(&self) {
        self.say("recovering: going back to the previous deployment");
    }
}

/// Removes ongoing work from the report when it is dropped.
struct Ended<'a> {
    report: &'a Report,
    key: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let ended = locked(&self.report.ongoing).end(self.key);
        if let Some((id, since)) = ended {
            self.report.status().timeline.add(id, since);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name<T: std::fmt::Display>(of: &Option<T>) -> String {
    of.as_ref().map(T::to_string).unwrap_or_default()
}
