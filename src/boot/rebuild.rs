//! Rebuilds a release that was healthy before and no longer is, in case its files are the cause: some are missing, or
//! their owner now has another uid; or it is of the release cache, and was healthy only elsewhere. At most once per boot.

use std::pin::Pin;

use super::fetch::fetch;
use super::identify::Identified;
use super::tokens::tokens;
use crate::apply::{self, Limit};
use crate::error::{Error, Result};
use crate::machine::{Context, Host, Observe};
use crate::observe::Flags;
use crate::plan::layout::Layout;
use crate::plan::{Mark, Plan};
use crate::planner;
use crate::report::Report;

async fn is_due(machine: &impl Observe, plan: &Plan, error: &Error, report: &Report) -> bool {
    // Not for a release that this run has built.
    let is_from_earlier_run = report.was_unchanged(Mark::Whole);
    let was_started = is_from_earlier_run && report.was_started();
    if plan.rebuild.is_empty() || !was_started || !planner::may_be_caused_by_deployment(error.code()) {
        return false;
    }
    matches!(machine.text(&Layout::new(&plan.service).rebuilt()).await, Ok(None))
}

/// Rebuilds the release and carries out the plan again, if that may help. If that fails, too, the run keeps the first
/// error.
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
    let again = limit.run(stop, rebuild(machine, flags, identified, plan, report)).await;
    again.map_err(|error| first.because(error.redacted(&plan.redaction).cause()))
}

async fn rebuild(
    machine: &impl Host,
    flags: &Flags,
    identified: &Identified,
    plan: &Plan,
    report: &Report,
) -> Result<()> {
    // Fetch first: the old release is removed only when there is a source to build from.
    let (_, scratch) = fetch(machine, flags, identified, report).await?;
    apply::ahead(machine, &plan.rebuild, report).await?;
    // These steps stay done: one of them removes what earlier fetches left, and would delete this fetch.
    let ahead = planner::ahead(&identified.facts, &identified.selection)?;
    let why = "the release was healthy before and is not in this boot: rebuilding it";
    report.begin_again(why, &ahead);
    let tokens = tokens(machine, flags, identified, plan, report).await?;
    let context = Context { scratch: scratch.as_ref(), tokens: tokens.as_ref(), ..Context::default() };
    apply::apply(machine, plan, context, report).await
}
