//! What earlier runs recorded, as far as it can be read. What is lost is made up for by the other records, and told.

use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Instance, Unusable};
use crate::machine::Observe;
use crate::observe::{self, Decision, Policy, Selection};
use crate::plan::layout;
use crate::planner::{self, Lost};
use crate::report::Report;

/// What a newer program wrote is not written over. What is broken is told.
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

/// A lost decision must not become a deployment of the branch's newest commit: what passed last is what was decided.
pub fn made_up(
    facts: &Facts,
    policy: &Policy,
    selection: &mut Selection,
    report: &Report,
) -> Result<Option<Decision>> {
    let Some(lost) = planner::lost_decision(facts, &selection.service) else { return Ok(None) };
    let (decision, commit) = match lost {
        Lost::Kept(kept) => (Some(Decision::kept(&selection.service, kept)), &kept.source.commit),
        Lost::Commit(commit) => (None, commit),
    };
    match &decision {
        Some(_) => *selection = observe::select(facts, policy, decision.as_ref(), false)?,
        None if selection.pinned.is_none() => selection.pinned = Some(commit.clone().into()),
        None => return Ok(None),
    }
    let doing = format!("looking for what this instance decided for {}", selection.service);
    let cause = format!("that record is lost; commit {} is what passed or stood there last", commit.short());
    report.degraded(&Error::new(Code::RecordUnreadable, doing, cause));
    Ok(decision)
}

/// A machine without a policy that ran something before has lost its records: it does not wait for its first run.
pub fn missing(facts: &Facts, error: Error) -> Error {
    let ran = planner::ran_here(facts);
    if ran.is_empty() || error.code() != Code::PolicyNoRepository {
        return error;
    }
    let ran: Vec<&str> = ran.into_iter().map(|service| service.as_str()).collect();
    let cause = format!("this machine has run {}; its records are not there", ran.join(", "));
    Error::new(Code::RecordsMissing, "reading the policy", cause).because(error.cause())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Service;

    fn told(facts: &Facts, code: Code) -> Error {
        missing(facts, Error::new(code, "reading the policy", "no flag names the repository"))
    }

    #[test]
    fn a_machine_that_ran_something_has_lost_its_records() {
        let service = Service::try_from("auth").unwrap();
        let ran = Facts { unrecorded: [(service, None)].into(), ..Facts::default() };
        let error = told(&ran, Code::PolicyNoRepository);
        assert_eq!((error.code(), error.exit() as u8), (Code::RecordsMissing, 75));
        assert!(
            error.to_string().contains("this machine has run auth; its records are not there"),
            "{error}"
        );
        assert_eq!(told(&ran, Code::PolicyInvalid).code(), Code::PolicyInvalid);
    }

    #[test]
    fn a_machine_that_ran_nothing_has_none() {
        let nothing = told(&Facts::default(), Code::PolicyNoRepository);
        assert_eq!(nothing.code(), Code::PolicyNoRepository);
    }
}
