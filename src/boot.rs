//! Read this first: a whole run, in order.
//!
//! Observe the machine and what it shall run; make a plan; then show the plan (dry run) or carry it out, and report. A
//! dry run and a real run are the same up to the plan. This module only calls the others: it touches no machine itself.

mod carry_out;
mod decide;
mod environment;
mod fallback;
mod fetch;
mod identify;
mod memory;
mod origins;
mod present;
mod preview;
mod questions;
mod rebuild;
mod records;
mod retry;
mod serves;
mod tokens;
mod wanted;

use std::pin::{Pin, pin};

use crate::apply::{self, Limit};
use crate::error::{Error, Result};
use crate::machine::{self, Host};
use crate::observe::Flags;
use crate::plan::{Compared, Mark, Plan};
use crate::planner;
use crate::report::Report;
use carry_out::carry_out;
pub use decide::{Service, decide};
pub use environment::{Environment, environment};
pub use identify::Identified;
use identify::{arrive, begin, choose, next_boot};
pub use present::{newest, present};
pub use preview::{Prepared, prepare};
use wanted::{Planned, plan};

/// A run: observe, plan, apply, report. Its error has been reported already.
pub async fn run(machine: &impl Host, flags: &Flags, report: &Report) -> Result<()> {
    report.started();
    let running = async {
        let result = attempt(machine, flags, report).await;
        retry::settle(machine, flags, result.as_ref().err(), report).await;
        result
    };
    let result = report.accompany(running).await;
    match &result {
        Ok(()) => report.in_service(),
        Err(error) if error.code().ends_before_the_run() => report.refused(error),
        Err(error) => report.failed(error),
    }
    result
}

async fn attempt(machine: &impl Host, flags: &Flags, report: &Report) -> Result<()> {
    let mut stop = pin!(machine::shutdown_signal());
    let mut known = fallback::Known::new(flags);
    let ahead = plan_ahead(machine, flags, stop.as_mut(), &mut known, report).await;
    let (identified, planned, limit) = match ahead {
        Ok(made) => made,
        Err(error) => {
            let error = error.in_public();
            report.first_error(&error);
            if !error.code().ends_before_the_run() {
                fallback::without_a_plan(machine, &known, &error, report).await;
            }
            return Err(error);
        }
    };
    let plan = &planned.plan;
    report.planned(plan);
    memory::refuse_known_failure(machine, flags, plan, report)
        .await
        .inspect_err(|error| report.first_error(error))?;

    let carrying_out = carry_out(machine, flags, &identified, &planned, report);
    let result = limit.run(stop.as_mut(), carrying_out).await;
    let of = (flags, &identified);
    let result = rebuild::once_more(machine, of, plan, result, (&limit, stop.as_mut()), report).await;
    let result = result.map_err(|error| memory::explained(error, plan, report));
    match &result {
        Ok(()) => memory::forget(machine, plan).await,
        Err(error) => {
            go_back(machine, plan, error, report).await;
            apply::after_failure(machine, plan, error, report).await;
        }
    }
    result
}

/// Returns to the previous deployment, unless the new one has passed its health check: then only a later step failed.
async fn go_back(machine: &impl Host, plan: &Plan, error: &Error, report: &Report) {
    report.first_error(error);
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
            apply::recover(machine, &plan.recover, plan.budget, report).await;
            report.recovered(former.as_ref());
            present::after_recovery(machine, report).await;
        }
    }
}

async fn plan_ahead<'a>(
    machine: &impl Host,
    flags: &Flags,
    mut stop: Pin<&mut impl Future<Output = &'static str>>,
    known: &mut fallback::Known,
    report: &'a Report,
) -> Result<(Identified, Planned, Limit<'a>)> {
    let (policy, limit) = begin(machine, flags, stop.as_mut(), report).await?;
    (known.budget, known.network) = (limit.budget, policy.network());
    let arrived = limit.run(stop.as_mut(), arrive(machine, flags, policy, report)).await;
    known.instance = report.known_instance();
    let arrived = arrived?;

    // From here on the next boot runs bootagent with these flags, even if this run fails.
    let next = next_boot(&arrived.facts, &arrived.policy)?;
    let ahead = planner::retry_steps(&arrived.facts, next.as_ref());
    limit.run(stop.as_mut(), apply::ahead(machine, &ahead, report)).await?;

    let identified = limit.run(stop.as_mut(), choose(machine, flags, arrived, report)).await?;
    let ahead = planner::ahead(&identified.facts, &identified.selection)?;
    limit.run(stop.as_mut(), apply::ahead(machine, &ahead, report)).await?;

    let planned = limit.run(stop.as_mut(), plan(machine, flags, &identified, report)).await?;
    Ok((identified, planned, limit))
}
