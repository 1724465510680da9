//! The fleet memory in a run: reads what the group pinned, refuses a commit that fails on other instances, and writes the run's
//! report and its failures.

use std::time::Duration;

use super::fallback::Known;
use super::identify::Identified;
use crate::apply;
use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::machine::{Host, Observe};
use crate::observe::{self, Decision, Flags, Policy, Selection, Unreachable};
use crate::plan::{Action, Compared, FleetAccess, Plan, PutObject};
use crate::planner;
use crate::report::Report;
use crate::secret::{ForeignText, Message};

/// Reads the fleet memory, and selects again if a rollout pinned a commit. An instance that was healthy with its pinned commit
/// reads nothing: a reboot must not depend on S3.
pub async fn select(
    machine: &impl Observe,
    (flags, policy): (&Flags, &Policy),
    facts: &mut Facts,
    decided: &mut Option<Decision>,
    selection: Selection,
    report: &Report,
) -> Result<Selection> {
    let (passed, _) = planner::remembered(facts, &selection.service);
    let (was_healthy, chooses) = (passed.is_some(), flags.update || decided.is_none());
    if selection.fleet.prefix.is_none() || (was_healthy && !chooses) {
        return Ok(selection);
    }
    let reading = observe::fleet(machine, &selection, facts, flags, policy);
    match report.during("fleet", "reading the fleet memory", reading).await {
        Ok(known) => facts.fleet = known,
        Err(error) if selection.fleet.unreachable == Unreachable::Branch => {
            let why = error.in_public().report().causes.join(": ");
            report.note(format!(
                "the fleet memory cannot be read, so this instance takes the newest commit of {}: {why}",
                selection.branch
            ));
            return Ok(selection);
        }
        Err(error) => return Err(error),
    }
    // A commit that was not healthy here yet gives way to the group's: a rollout can rescue instances that wait.
    if let (Some(pin), Some(before)) = (&facts.fleet.pin, decided.as_ref())
        && pin.commit != before.source.commit
        && !was_healthy
    {
        *decided = None;
    }
    observe::select(facts, policy, decided.as_ref(), flags.anew())
}

/// Fails if the commit failed on several other instances and was never good in the group. The instance then waits, and is not
/// given up: a group would otherwise launch and terminate instances without end.
pub async fn refuse_failing(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    plan: &Plan,
    report: &Report,
) -> Result<()> {
    let Identified { policy, facts, selection, .. } = identified;
    let was_good = facts.fleet.good.as_ref().is_some_and(|good| good.knows(&plan.commit));
    let is_new = matches!(plan.deployment.is, Compared::First | Compared::Other);
    if flags.again || was_good || !is_new || selection.fleet.prefix.is_none() {
        return Ok(());
    }
    let counting = observe::fleet_failures(machine, selection, facts, (flags, policy), &plan.commit);
    let (count, newest) = match report.during("fleet", "counting failures of the commit", counting).await {
        Ok(counted) => counted,
        Err(error) => {
            let why = error.in_public().report().causes.join(": ");
            report.note(format!("failures of the commit on other instances are not known: {why}"));
            return Ok(());
        }
    };
    if count < selection.fleet.attempts as usize {
        return Ok(());
    }
    if let Some(former) = &plan.former {
        report.serves_on(former);
    }
    let cause = format!("it failed on {count} instances within the last hour, and was good on none");
    let error = Error::new(Code::FleetFailing, format!("deploying commit {}", plan.commit.short()), cause);
    let error = newest.into_iter().fold(error, |error, newest| {
        // Another instance wrote it.
        let told = format!("{}: {}", newest.error.doing, newest.error.causes.join(": "));
        let told = Message::from("the newest of these failures is ").and(ForeignText::message(&told));
        error.because(told).because(ForeignText::message(&newest.error.code))
    });
    Err(error.in_public())
}

/// Records that the commit failed here, if it may be the cause.
pub async fn record_failure(machine: &impl Host, identified: &Identified, plan: &Plan, error: &Error) {
    if !planner::may_be_caused_by_commit(error.code()) || error.code() == Code::FleetFailing {
        return;
    }
    let Identified { facts, selection, .. } = identified;
    if let Ok(Some(action)) = planner::fleet_failure(facts, selection, &plan.commit, error.report()) {
        within(SOON, apply::after_run(machine, &action)).await;
    }
}

/// Before the recovery, which may end with Auto Scaling terminating the instance.
const SOON: Duration = Duration::from_secs(3);
const AT_THE_END: Duration = Duration::from_secs(15);

async fn within(time: Duration, writing: impl Future<Output = bool>) {
    if tokio::time::timeout(time, writing).await.is_err() {
        tracing::warn!("the fleet memory was not written within {} s", time.as_secs());
    }
}

/// Writes the run's report. A run never fails for it.
pub async fn tell(machine: &impl Host, known: &Known, report: &Report) {
    put_report(machine, known, report, AT_THE_END).await;
}

/// The same before the recovery.
pub async fn tell_soon(machine: &impl Host, known: &Known, report: &Report) {
    put_report(machine, known, report, SOON).await;
}

async fn put_report(machine: &impl Host, known: &Known, report: &Report, time: Duration) {
    let (Some(at), Some(instance)) = (known.report.clone(), &known.instance) else { return };
    let Some(text) = report.public_text() else { return };
    let access = FleetAccess { region: Some(instance.region.clone()), network: known.network.clone() };
    let action = Action::PutObject(PutObject { at, text, access });
    within(time, apply::after_run(machine, &action)).await;
}
