//! The interpreter of plans: steps whose needs are met run at once, each under its deadline, all
//! under one budget. The first failure ends the others; then the plan's recovery runs, in which a
//! failure ends nothing but what needs it.

mod limit;
mod output;
mod read_only;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Instant;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

use crate::error::{Code, Error, Result};
use crate::machine::retry::{Patience, patiently};
use crate::machine::{self, Change, Context, Host, Scratch};
use crate::plan::{Action, Plan, Seconds, Step, StepId, headline};
use crate::report::Report;
use crate::secret::Redaction;

pub use limit::Limit;

/// What is done before there is a whole plan: its first steps, which need nothing of the others.
pub async fn ahead(machine: &impl Host, first: &[Step], report: &Report) -> Result<()> {
    steps(machine, first, None, report, Some(&Redaction::default()), OnFailure::End, &Room::none()).await
}

/// Carries the plan out, but for what was done ahead. When this ends, nothing of it is still going on.
pub async fn apply(
    machine: &impl Host,
    plan: &Plan,
    scratch: Option<&Scratch>,
    report: &Report,
) -> Result<()> {
    let room = Room { steps: &plan.room, is_given: Cell::new(false) };
    steps(machine, &plan.steps, scratch, report, Some(&plan.redaction), OnFailure::End, &room).await
}

/// What a failed run ends with, for which it gets its budget once more. Its own failures are reported,
/// but the first error stays the run's. What the former generation says is not shown: its secret may have
/// been another one.
pub async fn recover(machine: &impl Host, recovery: &[Step], budget: Seconds, report: &Report) {
    report.recovering();
    let room = Room::none();
    let recovering = steps(machine, recovery, None, report, None, OnFailure::GoOn, &room);
    match timeout(budget.duration(), recovering).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(code = error.code().name(), "recovery failed: {error}"),
        Err(_) => tracing::error!("recovery failed: not done after {budget}"),
    }
}

/// What a run leaves when it has ended: no step of it, and nothing to fail by. Whether something was done.
pub async fn afterwards(machine: &impl Host, action: &Action) -> bool {
    match machine.act(action, &Context { scratch: None }).await {
        Ok(Change::Changed(_)) => true,
        Ok(Change::Unchanged) => false,
        Err(error) => {
            let error = error.in_public();
            tracing::error!(code = error.code().name(), "{}: {error}", headline(action));
            false
        }
    }
}

/// What becomes of the steps beside one that fails. Those that need it never run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    End,
    GoOn,
}

/// What can be given up, once, where a build finds the disk full.
struct Room<'a> {
    steps: &'a [Step],
    is_given: Cell<bool>,
}

impl Room<'_> {
    fn none() -> Self {
        Room { steps: &[], is_given: Cell::new(true) }
    }

    fn helps(&self, step: &Step, error: &Error) -> bool {
        error.code() == Code::DiskFull && !self.is_given.get() && step.action.builds()
    }

    /// Whether anything was given up.
    async fn give(&self, machine: &impl Host, report: &Report) -> bool {
        self.is_given.set(true);
        let mut given = Vec::new();
        for step in self.steps {
            let acting = machine.act(&step.action, &Context { scratch: None });
            match timeout(step.timeout.duration(), acting).await {
                Ok(Ok(Change::Changed(_))) => given.push(headline(&step.action)),
                Ok(Ok(Change::Unchanged)) => {}
                Ok(Err(error)) => tracing::warn!("making room: {error}"),
                Err(_) => tracing::warn!("making room: {} is not done after {}", step.id, step.timeout),
            }
        }
        if given.is_empty() {
            return false;
        }
        report.note(format!("the disk was full while building; to make room: {}", given.join(", ")));
        true
    }
}

async fn steps(
    machine: &impl Host,
    steps: &[Step],
    scratch: Option<&Scratch>,
    report: &Report,
    redaction: Option<&Redaction>,
    on_failure: OnFailure,
    room: &Room<'_>,
) -> Result<()> {
    let (before, mut waiting): (Vec<&Step>, Vec<&Step>) =
        steps.iter().partition(|step| report.has_done(&step.id));
    let mut done: BTreeSet<&StepId> = before.into_iter().map(|step| &step.id).collect();
    let mut running = FuturesUnordered::new();
    let (mut first, mut spoiled) = (None, false);
    loop {
        let (ready, rest): (Vec<&Step>, Vec<&Step>) =
            waiting.into_iter().partition(|step| step.needs.iter().all(|need| done.contains(need)));
        waiting = rest;
        for step in ready {
            running.push(async move { (step, one(machine, step, scratch, report, redaction, room).await) });
        }
        match running.next().await {
            Some((step, Ok(()))) => {
                done.insert(&step.id);
            }
            Some((step, Err(error))) if step.optional => {
                report.degraded(&error);
                spoiled = true;
            }
            Some((_, Err(error))) if on_failure == OnFailure::GoOn => {
                first.get_or_insert(error);
            }
            // Dropping the others ends them: each verb stops what it started.
            Some((_, Err(error))) => return Err(error),
            None if waiting.is_empty() || spoiled || first.is_some() => return first.map_or(Ok(()), Err),
            None => {
                return Err(Error::new(
                    Code::Bug,
                    "carrying out the plan",
                    format!("{} needs a step that is not there", waiting[0].id),
                ));
            }
        }
    }
}

async fn one(
    machine: &impl Host,
    step: &Step,
    scratch: Option<&Scratch>,
    report: &Report,
    redaction: Option<&Redaction>,
    room: &Room<'_>,
) -> Result<()> {
    let headline = headline(&step.action);
    let started = Instant::now();
    report.step_started(step, &headline);
    let context = Context { scratch };
    let acting = async || in_time(machine, step, &headline, &context, report, redaction).await;
    let result = match acting().await {
        Err(error) if room.helps(step, &error) && room.give(machine, report).await => acting().await,
        result => result,
    };
    let result = match result {
        Ok(change) => Ok(change),
        Err(error) => Err(fit_to_be_seen(error, redaction).await),
    };
    report.step_ended(&step.id, &headline, started.elapsed(), &result);
    result.map(|_: Change| ())
}

/// Many values in much text take long: meanwhile signals and the budget are heard.
async fn fit_to_be_seen(error: Error, redaction: Option<&Redaction>) -> Error {
    let redaction = redaction.cloned();
    let fitting = move || Ok(output::fit_to_be_seen(error, redaction.as_ref()));
    machine::blocking(fitting).await.unwrap_or_else(|bug| bug)
}

async fn in_time(
    machine: &impl Host,
    step: &Step,
    headline: &str,
    context: &Context<'_>,
    report: &Report,
    redaction: Option<&Redaction>,
) -> Result<Change> {
    // Each verb converges, so that what a fault broke off can be done again.
    let patience = Patience::lasting(step.timeout.duration()).tries(step.tries);
    let acting = patiently(patience, async || machine.act(&step.action, context).await);
    let mut heard = pin!(report.hearing(step.id.as_str(), headline, redaction, acting));
    timeout(step.timeout.duration(), &mut heard).await.unwrap_or_else(|_| {
        let cause = format!("not done after {}", step.timeout);
        let error = Error::new(Code::StepDeadline, format!("waiting for: {headline}"), cause);
        Err(report.said(step.id.as_str()).into_iter().fold(error, Error::because))
    })
}
