//! What follows a failed attempt: the group learns of it, the previous deployment or the last good commit of the group is
//! brought back, and the operator's hooks run. The run keeps the error of the attempt.

use std::pin::Pin;

use super::identify::Identified;
use super::{evidence, fallback, fleet, group_failures, last_good, memory, present};
use crate::apply::{self, Limit};
use crate::error::{Code, Error};
use crate::machine::Host;
use crate::observe::Flags;
use crate::plan::{Compared, Mark, Plan};
use crate::report::Report;

pub async fn attempt(
    machine: &impl Host,
    (flags, identified, plan): (&Flags, &Identified, &Plan),
    error: &Error,
    known: &fallback::Known,
    (limit, stop): (&Limit<'_>, Pin<&mut impl Future<Output = &'static str>>),
    report: &Report,
) {
    report.first_error(error);
    if flags.bake {
        // No other instance learns of it, and nothing was started.
        apply::recover(machine, &plan.recover, plan.budget, false, report).await;
        return;
    }
    let is_told = !report.was_cancelled() && !report.has_passed();
    let recording =
        async |time| group_failures::record_failure(machine, identified, (plan, error), time).await;
    // The recovery may end with the instance; but a former deployment must not wait for S3. All of it at once: an instance is
    // given up within seconds.
    let telling = async {
        if !is_told || plan.former.is_some() {
            return !is_told;
        }
        let evidence = evidence::tell(machine, known, report, fleet::SOON);
        let (is_recorded, ..) =
            tokio::join!(recording(fleet::SOON), fleet::tell_soon(machine, known, report), evidence);
        is_recorded
    };
    let due = Box::pin(last_good::due(machine, flags, identified, plan, error, report));
    let (is_recorded, good) = tokio::join!(telling, due);
    // Nothing was started of a commit that fails elsewhere, and the instance waits.
    if error.code() != Code::FleetFailing {
        go_back(machine, plan, error, good.is_none(), report).await;
    }
    // Behind a former deployment that must not wait, or once more.
    if !is_recorded {
        recording(fleet::AT_THE_END).await;
    }
    if let Some(good) = good {
        let first = plan;
        let commits = (&plan.commit, &good);
        let deploying = last_good::deploy(machine, flags, identified, commits, (limit, stop), report);
        if let Err((second, plan)) = Box::pin(deploying).await {
            report.note(format!("the last good commit failed, too: {second}"));
            let may_abandon = second.code() != Code::Cancelled;
            match plan {
                Some(plan) => go_back(machine, &plan, &second, may_abandon, report).await,
                // Nothing was changed for it; the instance is given up as if there were no second attempt.
                None => apply::recover(machine, &first.recover, first.budget, may_abandon, report).await,
            }
        }
    }
    apply::after_failure(machine, plan, error, report).await;
}

/// Returns to the previous deployment, unless the new one has passed its health check: then only a later step failed.
/// `may_abandon`: the run ends with this recovery.
async fn go_back(machine: &impl Host, plan: &Plan, error: &Error, may_abandon: bool, report: &Report) {
    if report.has_passed() {
        return;
    }
    memory::record_failure(machine, plan, error, report).await;
    match &plan.former {
        // The previous deployment is the one that just failed its health check, unchanged: there is nothing to return
        // to.
        Some(former) if plan.deployment.is == Compared::Same && report.was_unchanged(Mark::Started) => {
            report.may_not_serve(former, &error.report().causes.join(": "));
        }
        former => {
            apply::recover(machine, &plan.recover, plan.budget, may_abandon, report).await;
            report.recovered(former.as_ref());
            present::after_recovery(machine, report).await;
        }
    }
}
