//! Checks the records of earlier runs. A broken or lost record is reported, and replaced from the other records.

use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Instance, Unusable};
use crate::machine::Observe;
use crate::observe::{self, Decision, Policy, Selection};
use crate::plan::layout;
use crate::planner::{self, Lost};
use crate::report::Report;

/// Reports broken records. Fails if a newer version of bootagent wrote one: this run must not overwrite it.
pub fn check(facts: &Facts, report: &Report) -> Result<()> {
    for (path, why) in &facts.unusable {
        let error = observe::unusable(format!("reading {}", path.display()), why);
        match why {
            Unusable::Newer(_) => return Err(error),
            Unusable::Unreadable(_) => report.degraded(&error),
        }
    }
    Ok(())
}

/// The recorded decision. A record that cannot be read is reported and counts as none.
pub async fn decided(
    machine: &impl Observe,
    instance: &Instance,
    report: &Report,
) -> Result<Option<Decision>> {
    match observe::decided(machine, &layout::decision(&instance.id)).await {
        Err(error) if error.code() == Code::RecordUnreadable => {
            report.degraded(&error);
            Ok(None)
        }
        read => read,
    }
}

/// Replaces a lost decision by the last healthy release. Otherwise the loss would cause an update to the branch's
/// newest commit.
pub fn replace_lost_decision(
    facts: &Facts,
    policy: &Policy,
    selection: &mut Selection,
    report: &Report,
) -> Result<Option<Decision>> {
    let Some(lost) = planner::replacement_for_lost_pin(facts, &selection.service) else { return Ok(None) };
    let (decision, commit) = match lost {
        Lost::Kept(kept) => (Some(Decision::kept(&selection.service, kept)), &kept.source.commit),
        Lost::Commit(commit) => (None, commit),
    };
    match &decision {
        Some(_) => *selection = observe::select(facts, policy, decision.as_ref(), false)?,
        None if selection.pinned.is_none() => selection.pinned = Some(commit.clone().into()),
        None => return Ok(None),
    }
    let doing = format!("reading the pinned commit of {}", selection.service);
    let cause = format!("the record is lost; commit {} was the last one here and is kept", commit.short());
    report.degraded(&Error::new(Code::RecordUnreadable, doing, cause));
    Ok(decision)
}

/// Replaces "no repository" by "records missing" if bootagent has run a service on this machine before: then this is
/// not a machine before its first run.
pub fn missing(facts: &Facts, error: Error) -> Error {
    let ran = planner::services_deployed_here(facts);
    if ran.is_empty() || error.code() != Code::PolicyNoRepository {
        return error;
    }
    let ran: Vec<&str> = ran.into_iter().map(|service| service.as_str()).collect();
    let cause = format!("this machine has run {}, but its records are missing", ran.join(", "));
    Error::new(Code::RecordsMissing, "reading the policy", cause).because(error.cause())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Service;

    fn error_of(facts: &Facts, code: Code) -> Error {
        missing(facts, Error::new(code, "reading the policy", "no flag names the repository"))
    }

    #[test]
    fn a_machine_that_ran_something_has_lost_its_records() {
        let service = Service::try_from("auth").unwrap();
        let ran = Facts { unrecorded: [(service, None)].into(), ..Facts::default() };
        let error = error_of(&ran, Code::PolicyNoRepository);
        assert_eq!((error.code(), error.exit() as u8), (Code::RecordsMissing, 75));
        assert!(
            error.to_string().contains("this machine has run auth, but its records are missing"),
            "{error}"
        );
        assert_eq!(error_of(&ran, Code::PolicyInvalid).code(), Code::PolicyInvalid);
    }

    #[test]
    fn a_machine_that_ran_nothing_has_lost_no_records() {
        let nothing = error_of(&Facts::default(), Code::PolicyNoRepository);
        assert_eq!(nothing.code(), Code::PolicyNoRepository);
    }
}
