//! Failures of a commit on the instances of a group: a commit that failed on several is not tried, and a failure here is
//! recorded for the others.

use std::time::Duration;

use super::fleet::within;
use super::identify::Identified;
use crate::apply;
use crate::error::{Code, Error, Result};
use crate::machine::{Host, Observe};
use crate::observe::{self, Flags};
use crate::plan::{Compared, Plan};
use crate::planner;
use crate::report::Report;
use crate::secret::{ForeignText, Message};

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
    if flags.again || flags.bake || was_good || !is_new || selection.fleet.prefix.is_none() {
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

/// Records that the commit failed here, if it may be the cause. Returns whether nothing is left to record.
pub async fn record_failure(
    machine: &impl Host,
    identified: &Identified,
    (plan, error): (&Plan, &Error),
    time: Duration,
) -> bool {
    if !planner::may_be_caused_by_commit(error.code()) || error.code() == Code::FleetFailing {
        return true;
    }
    let Identified { facts, selection, .. } = identified;
    match planner::fleet_failure(facts, selection, &plan.commit, error.report()) {
        Ok(Some(action)) => within(time, apply::after_run(machine, &action)).await,
        _ => true,
    }
}
