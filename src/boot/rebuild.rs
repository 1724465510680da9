//! Once for each boot: a release that passed before and does not come into service is built once more, in case its
//! files are the reason (one is lost, or their owners have other numbers now).

use std::pin::Pin;

use super::fetch::fetch;
use super::identify::Identified;
use crate::apply::{self, Limit};
use crate::error::{Error, Result};
use crate::machine::{Host, Observe};
use crate::observe::Flags;
use crate::plan::layout::Layout;
use crate::plan::{Mark, Plan};
use crate::planner;
use crate::report::Report;

async fn is_due(machine: &impl Observe, plan: &Plan, error: &Error, report: &Report) -> bool {
    // One that was built in this run is as new as can be.
    let stood_there = report.was_unchanged(Mark::Whole);
    let was_put_to_run = stood_there && report.was_put_to_run();
    if plan.rebuild.is_empty() || !was_put_to_run || !planner::is_own_fault(error.code()) {
        return false;
    }
    matches!(machine.text(&Layout::new(&plan.service).rebuilt()).await, Ok(None))
}

/// The result of the plan, carried out once more where that may help; the first error stays the run's.
pub async fn once_more(
    machine: &impl Host,
    (flags, identified): (&Flags, &Identified),
    plan: &Plan,
    result: Result<()>,
    (limit, stop): (&Limit<'_>, Pin<&mut impl Future<Output = &'static str>>),
    report: &Report,
) -> Result<()> {
    let Err(first) = result else { return Ok(()) };
    if !is_due(machine, plan, &first, report).await {
        return Err(first);
    }
    let again = limit.hold(stop, built_again(machine, flags, identified, plan, report)).await;
    again.map_err(|error| first.because(error.redacted(&plan.redaction).cause()))
}

async fn built_again(
    machine: &impl Host,
    flags: &Flags,
    identified: &Identified,
    plan: &Plan,
    report: &Report,
) -> Result<()> {
    // Nothing is taken away before there is something to build from.
    let (_, scratch) = fetch(machine, flags, identified, report).await?;
    apply::ahead(machine, &plan.rebuild, report).await?;
    // Among those that were done ahead is the one that removes what earlier fetches left.
    let ahead = planner::ahead(&identified.facts, &identified.selection)?;
    let why = "the release that passed before is not healthy after this boot: it is built once more";
    report.begin_again(why, &ahead);
    apply::apply(machine, plan, scratch.as_ref(), report).await
}
