//! Read this first: a whole run, in order.
//!
//! Observe the machine and what it shall run; make a plan; then show the plan (dry run) or carry it out, and report. A
//! dry run and a real run are the same up to the plan. This module only calls the others: it touches no machine itself.

mod carry_out;
mod decide;
mod environment;
mod evidence;
mod failed;
mod fallback;
mod fetch;
mod fleet;
mod group_failures;
mod identify;
mod last_good;
mod memory;
mod origins;
mod present;
mod preview;
mod questions;
mod rebuild;
mod records;
mod retry;
pub mod rollout;
mod serves;
mod tokens;
mod wanted;

use std::pin::{Pin, pin};

use crate::apply::{self, Limit};
use crate::error::Result;
use crate::machine::{self, Host};
use crate::observe::Flags;
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
    let mut known = fallback::Known::new(flags);
    let running = async {
        // Boxed, like the parts of an attempt: nested on the stack, these futures could overflow it.
        let result = Box::pin(attempt(machine, flags, &mut known, report)).await;
        if !flags.bake {
            retry::settle(machine, flags, result.as_ref().err(), report).await;
        }
        result
    };
    let result = report.accompany(running).await;
    match &result {
        Ok(()) => report.in_service(),
        Err(error) if error.code().ends_before_the_run() => report.refused(error),
        Err(error) => report.failed(error),
    }
    if !flags.bake && !result.as_ref().is_err_and(|error| error.code().ends_before_the_run()) {
        Box::pin(fleet::tell(machine, &known, report)).await;
        if result.is_err() && !report.was_cancelled() {
            Box::pin(evidence::tell(machine, &known, report, fleet::AT_THE_END)).await;
        }
    }
    result
}

async fn attempt(
    machine: &impl Host,
    flags: &Flags,
    known: &mut fallback::Known,
    report: &Report,
) -> Result<()> {
    let mut stop = pin!(machine::shutdown_signal());
    let ahead = Box::pin(plan_ahead(machine, flags, stop.as_mut(), known, report)).await;
    let (identified, planned, limit) = match ahead {
        Ok(made) => made,
        Err(error) => {
            let error = error.in_public();
            report.first_error(&error);
            if !error.code().ends_before_the_run() {
                fallback::without_a_plan(machine, known, &error, report).await;
            }
            return Err(error);
        }
    };
    let plan = &planned.plan;
    report.planned(plan);
    memory::refuse_known_failure(machine, flags, plan, report)
        .await
        .inspect_err(|error| report.first_error(error))?;

    let refusing = Box::pin(group_failures::refuse_failing(machine, flags, &identified, plan, report));
    let result = match limit.run(stop.as_mut(), refusing).await {
        Ok(()) => {
            let carrying_out = Box::pin(carry_out(machine, flags, &identified, &planned, report));
            limit.run(stop.as_mut(), carrying_out).await
        }
        Err(error) => Err(error),
    };
    let of = (flags, &identified);
    let rebuilding = rebuild::once_more(machine, of, plan, result, (&limit, stop.as_mut()), report);
    let result = Box::pin(rebuilding).await;
    let Err(error) = result.map_err(|error| memory::explained(error, plan, report)) else {
        memory::forget(machine, plan).await;
        return Ok(());
    };
    let of = (flags, &identified, plan);
    Box::pin(failed::attempt(machine, of, &error, known, (&limit, stop), report)).await;
    Err(error)
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
    known.log_group = policy.log_group();
    let prefix = policy.fleet().0.prefix;
    let arrived = limit.run(stop.as_mut(), arrive(machine, flags, policy, report)).await;
    known.instance = report.known_instance();
    let unselected = known.instance.as_ref().zip(prefix.as_ref());
    known.report = unselected.map(|(instance, prefix)| prefix.unselected_report(&instance.id));
    let arrived = arrived?;

    // From here on the next boot runs bootagent with these flags, even if this run fails.
    let next = next_boot(&arrived.facts, &arrived.policy, flags)?;
    let ahead = planner::retry_steps(&arrived.facts, next.as_ref());
    limit.run(stop.as_mut(), apply::ahead(machine, &ahead, report)).await?;

    let identified = limit.run(stop.as_mut(), choose(machine, flags, arrived, report)).await;
    known.report = report.place(prefix.as_ref()).or(known.report.take());
    let identified = identified?;
    let ahead = planner::ahead(&identified.facts, &identified.selection)?;
    limit.run(stop.as_mut(), apply::ahead(machine, &ahead, report)).await?;

    let planned = limit.run(stop.as_mut(), plan(machine, flags, &identified, report)).await?;
    Ok((identified, planned, limit))
}
