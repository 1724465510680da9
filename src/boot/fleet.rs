//! The fleet memory in a run: reads what the group pinned, refuses a commit that fails on other instances, and writes the run's
//! report and its failures.

use std::time::Duration;

use super::fallback::Known;
use crate::apply;
use crate::error::Result;
use crate::facts::Facts;
use crate::machine::{Host, Observe};
use crate::observe::{self, Decision, Flags, Policy, Selection, Unreachable};
use crate::plan::{Action, FleetAccess, PutObject};
use crate::planner;
use crate::report::Report;

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

/// Before the recovery, which may end with Auto Scaling terminating the instance. `ABANDON` goes out at most 5 s after the
/// failing step: the other 3 s are for credentials, a connection and the answer.
pub(super) const SOON: Duration = Duration::from_secs(2);
pub(super) const AT_THE_END: Duration = Duration::from_secs(15);

/// Whether it was written in time.
pub(super) async fn within(time: Duration, writing: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(time, writing).await.unwrap_or_else(|_| {
        tracing::warn!("what others learn of this run was not written within {} s", time.as_secs());
        false
    })
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
