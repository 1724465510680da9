//! The second attempt of a run: deploys the last good commit of the group, if the wanted one fails on an instance on which
//! nothing served before, and the policy says so.

use std::pin::Pin;

use super::carry_out::carry_out;
use super::fleet::SOON;
use super::identify::Identified;
use super::wanted::plan;
use crate::apply::Limit;
use crate::error::{Error, Result};
use crate::facts::Commit;
use crate::machine::{Host, Observe};
use crate::observe::{self, Flags, OnFailure};
use crate::plan::{Mark, Plan};
use crate::planner;
use crate::report::Report;

/// The commit to deploy after this error; `None` if the failed run ends with its own recovery.
pub async fn due(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    plan: &Plan,
    error: &Error,
    report: &Report,
) -> Option<Commit> {
    let Identified { policy, facts, selection, .. } = identified;
    let good = facts.fleet.good.as_ref().filter(|good| good.commit != plan.commit)?;
    let may = selection.fleet.on_failure == OnFailure::LastGood
        && plan.former.is_none()
        && !report.has_passed()
        && planner::may_be_caused_by_commit(error.code());
    if !may {
        return None;
    }
    let Some(is_reversible) = plan.migration_is_reversible else { return Some(good.commit.clone()) };
    if is_reversible {
        return Some(good.commit.clone());
    }
    let was_migrated = match report.has_begun(Mark::Migrated) {
        true => Some(true),
        false => {
            let asking = observe::fleet_migrated(machine, selection, facts, (flags, policy), &plan.commit);
            tokio::time::timeout(SOON, asking).await.ok().and_then(Result::ok)
        }
    };
    let why = match was_migrated {
        Some(false) => return Some(good.commit.clone()),
        Some(true) => {
            "the migration of the failed commit has begun, and bootagent.toml does not say migrate_reversible"
        }
        None => "the fleet memory does not say in time whether the migration of the failed commit has begun",
    };
    report.note(format!("commit {}, the last good one, is not deployed: {why}", good.commit.short()));
    None
}

/// Deploys it. If that fails, too, the run keeps the first error.
pub async fn deploy(
    machine: &impl Host,
    flags: &Flags,
    identified: &Identified,
    (wanted, good): (&Commit, &Commit),
    (limit, mut stop): (&Limit<'_>, Pin<&mut impl Future<Output = &'static str>>),
    report: &Report,
) -> Result<(), (Error, Option<Plan>)> {
    let identified = with_commit(identified, good);
    let ahead = planner::ahead(&identified.facts, &identified.selection).map_err(|error| (error, None))?;
    let why = format!(
        "commit {} failed: deploying commit {}, the last good one of the group",
        wanted.short(),
        good.short()
    );
    report.begin_again(&why, &ahead);
    let planning = limit.run(stop.as_mut(), Box::pin(plan(machine, flags, &identified, report)));
    let planned = planning.await.map_err(|error| (error.in_public(), None))?;
    report.planned_in_place_of(&planned.plan, wanted);
    let carrying_out = Box::pin(carry_out(machine, flags, &identified, &planned, report));
    match limit.run(stop, carrying_out).await {
        Ok(()) => {
            report.last_good_serves(wanted, good);
            Ok(())
        }
        Err(error) => Err((error, Some(planned.plan))),
    }
}

/// The same instance with this commit. A second failure gives it up.
fn with_commit(identified: &Identified, commit: &Commit) -> Identified {
    let mut identified = identified.clone();
    identified.decided = None;
    let selection = &mut identified.selection;
    selection.pinned = Some(commit.clone().into());
    selection.fleet.on_failure = OnFailure::Abandon;
    selection.settings.retain(|setting| setting.name != "ref");
    identified
}
