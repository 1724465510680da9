//! Fetches a commit: the names of its files, the text of the files that the planner reads, and the git objects for the
//! checkout.

use super::identify::Identified;
use crate::error::Result;
use crate::facts::Source;
use crate::machine::{Check, Observe, Scratch};
use crate::observe::{self, Fetched, Flags, MANIFEST};
use crate::plan::{Action, Plan};
use crate::planner;
use crate::report::Report;

pub async fn fetch(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<(Source, Option<Scratch>)> {
    let what =
        format!("fetching branch {} of {}", identified.selection.branch, identified.selection.repository);
    let fetched = report.during("fetch", &what, fetched(machine, flags, identified, &[])).await?;
    Ok((fetched.source, fetched.scratch))
}

/// Fetches the commit, with the text of the files that the planner always reads and of those in `more`.
pub async fn fetched(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    more: &[String],
) -> Result<Fetched> {
    let Identified { policy, facts, selection, .. } = identified;
    let mut evidence = planner::evidence();
    evidence.push(MANIFEST.to_owned());
    for path in more {
        if !evidence.contains(path) {
            evidence.push(path.clone());
        }
    }
    observe::source(machine, flags, selection, facts, policy, evidence).await
}

/// Whether the plan has a checkout to do. A pinned commit is planned from its record, and its git objects are fetched
/// only if its release is not complete on this machine.
pub async fn checkout_is_due(machine: &impl Observe, plan: &Plan) -> Result<bool> {
    for step in plan.steps.iter().filter(|step| matches!(step.action, Action::CheckOut(_))) {
        if machine.check(&step.action).await? != Check::AlreadySo {
            return Ok(true);
        }
    }
    Ok(false)
}
