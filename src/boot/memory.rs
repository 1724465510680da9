//! The memory of what failed: as long as something else serves, the same deployment is not put to run again by itself.

use super::serves::serves;
use crate::apply;
use crate::error::{Error, Result};
use crate::facts::{Failure, Generation};
use crate::machine::{self, Health, Host, Observe};
use crate::observe::{self, Flags};
use crate::plan::layout::Layout;
use crate::plan::{Compared, Mark, Plan};
use crate::planner;
use crate::report::Report;

/// Ends a run that would put to run what failed in this boot already, with the error of then. Not while nothing
/// serves: there is nothing to lose then, and what made it fail may be over.
pub async fn recall(machine: &impl Observe, flags: &Flags, plan: &Plan, report: &Report) -> Result<()> {
    let serving = match (&plan.former, &plan.deployment.is) {
        // The first one of a service has a former deployment only in a switch: another service's.
        (Some(former), Compared::First | Compared::Other | Compared::OtherValues { .. }) if !flags.again => {
            former
        }
        (Some(former), Compared::Same) if !flags.again && is_of_another(former, plan) => former,
        _ => return Ok(()),
    };
    let service = serving.service().unwrap_or_else(|| plan.service.clone());
    let failures = observe::failures(machine, &Layout::new(&plan.service)).await;
    let Some(failure) = failures.into_iter().find(|failure| failure.digest == plan.deployment.digest) else {
        return Ok(());
    };
    match serves(machine, &service, serving).await {
        Ok(Health::Well(_)) => {
            report.serves_on(serving);
            Err(told_again(failure))
        }
        _ => Ok(()),
    }
}

/// A switch to what passed here before.
fn is_of_another(former: &Generation, plan: &Plan) -> bool {
    former.service().is_some_and(|service| service != plan.service)
}

fn told_again(failure: Failure) -> Error {
    let minutes = machine::now().saturating_sub(failure.at) / 60;
    let when = match minutes {
        0 => "less than a minute ago".to_owned(),
        1 => "1 minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    };
    Error::told_before(failure.error)
        .because(format!("it failed so {when}; nothing was changed; --again tries it once more"))
}

/// Notes a deployment that was put to run and did not get well.
pub async fn note(machine: &impl Host, plan: &Plan, error: &Error, report: &Report) {
    if report.was_put_to_run() && planner::is_own_fault(error.code()) {
        write(machine, plan, Some(error)).await;
    }
}

/// A deployment that passed is taken out of the memory.
pub async fn forget(machine: &impl Host, plan: &Plan) {
    write(machine, plan, None).await;
}

async fn write(machine: &impl Host, plan: &Plan, failed: Option<&Error>) {
    let before = observe::failures(machine, &Layout::new(&plan.service)).await;
    let is_known = before.iter().any(|failure| failure.digest == plan.deployment.digest);
    if failed.is_none() && !is_known {
        return;
    }
    let new = failed.map(|error| (error.report(), machine::now()));
    match planner::failures(&plan.service, before, &plan.deployment, new) {
        Ok(action) => {
            apply::afterwards(machine, &action).await;
        }
        Err(error) => tracing::error!(%error, "the failure cannot be noted"),
    }
}

/// The same code passed with other values: then the code is not what must be corrected.
pub fn explained(error: Error, plan: &Plan, report: &Report) -> Error {
    let Compared::OtherValues { keys, secret } = &plan.deployment.is else { return error };
    let was_candidate = report.has_reached(Mark::Candidate);
    if !(was_candidate || report.was_put_to_run()) || !planner::is_own_fault(error.code()) {
        return error;
    }
    let changed = match keys.is_empty() {
        true => "keys were taken out".to_owned(),
        false => format!("changed keys: {}", keys.join(", ")),
    };
    let commit = plan.deployment.commit.short();
    error
        .because(format!("commit {commit} passed its health check with the previous values; {changed}"))
        .remedy(format!("correct the secret {secret} ({changed}), and then: bootagent run"))
}
