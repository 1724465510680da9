//! Carries out plans. Steps run in parallel as soon as the steps that they need are done, each with its own time limit.
//! The first failure cancels the other steps. In the recovery, which runs after a failed plan, a failed step only keeps
//! the steps from running that need it. Decides nothing: what is done, and in which order, is in the plan.

mod keepalive;
mod limit;
mod output;
mod read_only;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

use crate::error::{Code, Error, Result};
use crate::machine::retry::{RetryLimit, with_retries};
use crate::machine::{self, Change, Context, Host};
use crate::plan::{Action, Plan, Seconds, Step, StepId, headline};
use crate::report::Report;
use crate::secret::Redaction;

pub use limit::Limit;

/// Carries out steps before the whole plan is known. `apply` skips them later.
pub async fn ahead(machine: &impl Host, first: &[Step], report: &Report) -> Result<()> {
    let (first, redaction) = (first.iter().collect(), Redaction::default());
    steps(
        machine,
        first,
        Context::default(),
        report,
        Some(&redaction),
        OnFailure::Cancel,
        &DiskCleanup::none(),
    )
    .await
}

/// Carries out the plan, except for the steps that `ahead` has done, and sends its heartbeats. When it returns, no step
/// is running any more.
pub async fn apply(machine: &impl Host, plan: &Plan, context: Context<'_>, report: &Report) -> Result<()> {
    let tokens = context.tokens.into_iter().flatten().map(|(name, token)| (name.as_str(), token));
    let redaction = plan.redaction.and(&Redaction::new(tokens));
    let cleanup = DiskCleanup { steps: &plan.room, is_done: Cell::new(false) };
    let all = plan.steps.iter().collect();
    let carrying_out = steps(machine, all, context, report, Some(&redaction), OnFailure::Cancel, &cleanup);
    keepalive::beside(machine, plan, carrying_out).await
}

/// Carries out the recovery after a failed run, with the whole budget again. Its failures are logged; the run keeps its
/// first error. Output of the previous deployment is not shown: it may contain old secret values, which the redaction
/// of this run does not know. A cancelled run does not give the instance up: the machine may only be rebooting, and the
/// next run continues. Without `may_abandon`, a further attempt follows.
pub async fn recover(
    machine: &impl Host,
    recovery: &[Step],
    budget: Seconds,
    may_abandon: bool,
    report: &Report,
) {
    report.recovering();
    let cleanup = DiskCleanup::none();
    let may_abandon = may_abandon && !report.was_cancelled();
    let is_due = |step: &&Step| may_abandon || !step.action.abandons();
    let recovery = recovery.iter().filter(is_due).collect();
    let context = Context { takes_back: true, ..Context::default() };
    let recovering = steps(machine, recovery, context, report, None, OnFailure::Continue, &cleanup);
    match timeout(budget.duration(), recovering).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(code = error.code().name(), "recovery failed: {error}"),
        Err(_) => tracing::error!("recovery failed: not done after {budget}"),
    }
}

/// All hooks after a failure together: the unit's own time limit must not end the run before its report.
const AFTER_FAILURE: Duration = Duration::from_secs(300);

/// Runs the operator's hooks after a failed run, with the error's code in BOOTAGENT_ERROR. A failure of them is noted:
/// the run keeps its first error.
pub async fn after_failure(machine: &impl Host, plan: &Plan, failed: &Error, report: &Report) {
    // A cancelled run continues: the machine may only be rebooting.
    let Some(hooks) = plan.after_failure.as_ref().filter(|_| failed.code() != Code::Cancelled) else {
        return;
    };
    let mut hooks = hooks.clone();
    hooks.environment.insert("BOOTAGENT_ERROR".to_owned(), failed.code().name().to_owned());
    let action = Action::RunHooks(hooks);
    let (id, headline, redaction) = ("hooks-after-failure", headline(&action), Some(&plan.redaction));
    let before = || report.write_rest();
    let context = Context { before: Some(&before), ..Context::default() };
    let acting = report.hearing(id, &headline, redaction, machine.act(&action, &context));
    match timeout(AFTER_FAILURE.min(plan.budget.duration()), acting).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => report.degraded(&for_display(error, redaction).await),
        Err(_) => tracing::error!("the hooks in after-failure.d are not done after {AFTER_FAILURE:?}"),
    }
}

/// Carries out one action of a command other than a run.
pub async fn once(machine: &impl Host, action: &Action) -> Result<Change> {
    machine.act(action, &Context::default()).await
}

/// Carries out one action after the run. An error is logged and does not fail the run. Returns whether the action
/// changed something.
pub async fn after_run(machine: &impl Host, action: &Action) -> bool {
    match machine.act(action, &Context::default()).await {
        Ok(Change::Changed(_)) => true,
        Ok(Change::Unchanged) => false,
        Err(error) => {
            let error = error.in_public();
            tracing::error!(code = error.code().name(), "{}: {error}", headline(action));
            false
        }
    }
}

/// What happens to the other steps when one fails. Steps that need the failed one never run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    Cancel,
    Continue,
}

/// Steps that free disk space (old releases), carried out once if a build finds the disk full.
struct DiskCleanup<'a> {
    steps: &'a [Step],
    is_done: Cell<bool>,
}

impl DiskCleanup<'_> {
    fn none() -> Self {
        DiskCleanup { steps: &[], is_done: Cell::new(true) }
    }

    fn may_help(&self, step: &Step, error: &Error) -> bool {
        error.code() == Code::DiskFull && !self.is_done.get() && step.action.builds()
    }

    /// Returns whether anything was removed.
    async fn run(&self, machine: &impl Host, report: &Report) -> bool {
        self.is_done.set(true);
        let mut removed = Vec::new();
        for step in self.steps {
            let before = || report.write_rest();
            let context = Context { before: Some(&before), ..Context::default() };
            let acting = machine.act(&step.action, &context);
            match timeout(step.timeout.duration(), acting).await {
                Ok(Ok(Change::Changed(_))) => removed.push(headline(&step.action)),
                Ok(Ok(Change::Unchanged)) => {}
                Ok(Err(error)) => tracing::warn!("freeing disk space: {error}"),
                Err(_) => {
                    tracing::warn!("freeing disk space: {} is not done after {}", step.id, step.timeout);
                }
            }
        }
        if removed.is_empty() {
            return false;
        }
        report.note(format!("the disk was full while building; to make room: {}", removed.join(", ")));
        true
    }
}

async fn steps(
    machine: &impl Host,
    steps: Vec<&Step>,
    context: Context<'_>,
    report: &Report,
    redaction: Option<&Redaction>,
    on_failure: OnFailure,
    cleanup: &DiskCleanup<'_>,
) -> Result<()> {
    let (before, mut waiting): (Vec<&Step>, Vec<&Step>) =
        steps.into_iter().partition(|step| report.has_done(&step.id));
    let mut done: BTreeSet<&StepId> = before.into_iter().map(|step| &step.id).collect();
    let mut running = FuturesUnordered::new();
    let (mut first, mut has_optional_failed) = (None, false);
    loop {
        let (ready, rest): (Vec<&Step>, Vec<&Step>) =
            waiting.into_iter().partition(|step| step.needs.iter().all(|need| done.contains(need)));
        waiting = rest;
        for step in ready {
            running
                .push(async move { (step, one(machine, step, context, report, redaction, cleanup).await) });
        }
        match running.next().await {
            Some((step, Ok(()))) => {
                done.insert(&step.id);
            }
            Some((step, Err(error))) if step.optional => {
                report.degraded(&error);
                has_optional_failed = true;
            }
            Some((_, Err(error))) if on_failure == OnFailure::Continue => {
                first.get_or_insert(error);
            }
            // Returning drops the other steps' futures, each of which then stops the process or unit that it started.
            Some((_, Err(error))) => return Err(error),
            None if waiting.is_empty() || has_optional_failed || first.is_some() => {
                return first.map_or(Ok(()), Err);
            }
            None => {
                return Err(Error::new(
                    Code::Bug,
                    "carrying out the plan",
                    format!("step {} needs a step that the plan does not have", waiting[0].id),
                ));
            }
        }
    }
}

async fn one(
    machine: &impl Host,
    step: &Step,
    context: Context<'_>,
    report: &Report,
    redaction: Option<&Redaction>,
    cleanup: &DiskCleanup<'_>,
) -> Result<()> {
    let headline = headline(&step.action);
    let started = Instant::now();
    report.step_started(step, &headline);
    let acting = async || act(machine, step, &headline, &context, report, redaction).await;
    let result = match acting().await {
        Err(error) if cleanup.may_help(step, &error) && cleanup.run(machine, report).await => acting().await,
        result => result,
    };
    let result = match result {
        Ok(change) => Ok(change),
        Err(error) => Err(for_display(error, redaction).await),
    };
    report.step_ended(&step.id, &headline, started.elapsed(), &result);
    result.map(|_: Change| ())
}

/// On a blocking thread: redacting many values in long output takes time, in which signals and the budget must work.
async fn for_display(error: Error, redaction: Option<&Redaction>) -> Error {
    let redaction = redaction.cloned();
    let redacting = move || Ok(output::for_display(error, redaction.as_ref()));
    machine::blocking(redacting).await.unwrap_or_else(|bug| bug)
}

/// Carries out a step within its time limit, with retries.
async fn act(
    machine: &impl Host,
    step: &Step,
    headline: &str,
    context: &Context<'_>,
    report: &Report,
    redaction: Option<&Redaction>,
) -> Result<Change> {
    let before = || report.write_rest();
    let context = &Context { before: Some(&before), ..*context };
    // Every action can be repeated after it failed half-way.
    let patience = RetryLimit::lasting(step.timeout.duration()).tries(step.tries);
    let acting = with_retries(patience, async || machine.act(&step.action, context).await);
    // Dropped after the error is made: `report.said` needs the progress text of the running future.
    let mut acting = pin!(report.hearing(step.id.as_str(), headline, redaction, acting));
    timeout(step.timeout.duration(), &mut acting).await.unwrap_or_else(|_| {
        let cause = format!("not done after {}", step.timeout);
        let error = Error::new(Code::StepDeadline, format!("waiting for: {headline}"), cause);
        Err(report.said(step.id.as_str()).into_iter().fold(error, Error::because))
    })
}
