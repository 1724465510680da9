//! Remembers failed deployments of this boot: while another deployment serves, a run does not start the same one again.

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

/// Fails with the earlier error if the plan would start a deployment that failed in this boot. Does nothing if no other
/// deployment serves: then a new try cannot interrupt a service.
pub async fn refuse_known_failure(
    machine: &impl Observe,
    flags: &Flags,
    plan: &Plan,
    report: &Report,
) -> Result<()> {
    let serving = match (&plan.former, &plan.deployment.is) {
        // `First` with a previous deployment is a switch from another service.
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
        Ok(Health::Healthy(_)) => {
            report.serves_on(serving);
            Err(earlier_error(failure))
        }
        _ => Ok(()),
    }
}

/// Whether this is a switch from another service.
fn is_of_another(former: &Generation, plan: &Plan) -> bool {
    former.service().is_some_and(|service| service != plan.service)
}

fn earlier_error(failure: Failure) -> Error {
    let minutes = machine::now().saturating_sub(failure.at) / 60;
    let when = match minutes {
        0 => "less than a minute ago".to_owned(),
        1 => "1 minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    };
    Error::from_report(failure.error)
        .because(format!("this error is from {when}; nothing was changed; --again tries it once more"))
}

/// Records a deployment that was started and did not become healthy.
pub async fn record_failure(machine: &impl Host, plan: &Plan, error: &Error, report: &Report) {
    if report.was_started() && planner::may_be_caused_by_deployment(error.code()) {
        write(machine, plan, Some(error)).await;
    }
}

/// Removes the record of a deployment that has become healthy.
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
            apply::after_run(machine, &action).await;
        }
        Err(error) => tracing::error!(%error, "the failure cannot be recorded"),
    }
}

/// Adds to the error that the same commit was healthy with other values of the secret: then the secret must be
/// corrected, not the code.
pub fn explained(error: Error, plan: &Plan, report: &Report) -> Error {
    let Compared::OtherValues { keys, secret } = &plan.deployment.is else { return error };
    let was_candidate = report.has_reached(Mark::Candidate);
    if !(was_candidate || report.was_started()) || !planner::may_be_caused_by_deployment(error.code()) {
        return error;
    }
    let changed = match keys.is_empty() {
        true => "keys were removed".to_owned(),
        false => format!("changed keys: {}", keys.join(", ")),
    };
    let commit = plan.deployment.commit.short();
    error
        .because(format!("commit {commit} passed its health check with the previous values; {changed}"))
        .remedy(format!("correct the {secret} ({changed}), and then: bootagent run"))
}
