//! Chooses service, environment, branch and commit of an instance, from policy, flags, tags, the group's pin and what the
//! instance is pinned to. Pure.

use std::collections::BTreeMap;

use super::Decision;
use super::compare::tag;
use super::policy::{Origin, Policy, Sourced};
use crate::error::{Code, Error, Result};
use crate::facts::{Branch, CommitPrefix, Environment, Facts, Service};

/// Checks a name against its grammar.
pub(super) fn name<T: TryFrom<String>>(text: Sourced<String>, what: &str) -> Result<Sourced<T>>
where
    T::Error: std::fmt::Display,
{
    let Sourced { value, origin } = text;
    let code = if matches!(origin, Origin::Tag(_)) { Code::TagInvalid } else { Code::PolicyInvalid };
    match T::try_from(value) {
        Ok(value) => Ok(Sourced { value, origin }),
        Err(error) => {
            Err(origin.remedied(Error::new(code, format!("choosing the {what} from {origin}"), error)))
        }
    }
}

fn missing(what: &str, key: &str) -> Error {
    Error::new(Code::TagMissing, format!("choosing the {what}"), format!("the instance has no tag {key}"))
}

pub(super) fn service(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
    update: bool,
) -> Result<Sourced<Service>> {
    let key = policy.service_tag();
    let wanted = policy.service().or_else(|| tag(facts, &key)).map(|text| name(text, "service"));
    let before = decided.map(|decided| Sourced { value: decided.service.clone(), origin: Origin::Decided });
    let service = chosen(wanted, before, update).unwrap_or_else(|| Err(missing("service", &key)))?;
    match policy.services() {
        Some(allowed) if !allowed.value.iter().any(|name| name == service.value.as_str()) => {
            Err(service.origin.remedied(Error::new(
                Code::PolicyRefused,
                format!("choosing the service from {}", service.origin),
                format!("{} is not among the services that {} allows", service.value, allowed.origin),
            )))
        }
        _ => Ok(service),
    }
}

pub(super) fn environment(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
    update: bool,
) -> Result<Sourced<Environment>> {
    let key = policy.environment_tag();
    let wanted = policy.environment().or_else(|| tag(facts, &key)).map(|text| name(text, "environment"));
    let before =
        decided.map(|decided| Sourced { value: decided.environment.clone(), origin: Origin::Decided });
    chosen(wanted, before, update).unwrap_or_else(|| Err(missing("environment", &key)))
}

/// The recorded value or, in an update, the one that policy or tag name now; the other one if that is missing.
fn chosen<T>(
    now: Option<Result<Sourced<T>>>,
    before: Option<Sourced<T>>,
    update: bool,
) -> Option<Result<Sourced<T>>> {
    match update {
        true => now.or(before.map(Ok)),
        false => before.map(Ok).or(now),
    }
}

pub(super) fn branch(
    environment: Sourced<Environment>,
    environments: &Sourced<BTreeMap<String, String>>,
) -> Result<(Sourced<Environment>, Sourced<Branch>)> {
    let known = |name: &Environment| environments.value.get_key_value(name.as_str());
    let short = environment.value.short();
    let Some((name, branch)) = known(&environment.value).or_else(|| known(short.as_ref()?)) else {
        let allowed: Vec<&str> = environments.value.keys().map(String::as_str).collect();
        return Err(environment.origin.remedied(Error::new(
            Code::PolicyRefused,
            format!("choosing the environment from {}", environment.origin),
            format!(
                "{} is not an environment of the policy ({}): {}",
                environment.value,
                environments.origin,
                allowed.join(", ")
            ),
        )));
    };
    let invalid = |error| Error::new(Code::PolicyInvalid, "reading the policy's environments", error);
    let environment =
        Sourced { value: Environment::try_from(name.as_str()).map_err(invalid)?, origin: environment.origin };
    let branch = Sourced {
        value: Branch::try_from(branch.as_str()).map_err(invalid)?,
        origin: environments.origin.clone(),
    };
    Ok((environment, branch))
}

/// The commit to deploy: the recorded one, or the one that policy, tag or the group's pin names; `None` for the newest.
pub fn pinned(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
) -> Result<Option<Sourced<CommitPrefix>>> {
    if let Some(decided) = decided {
        return Ok(Some(Sourced { value: decided.source.commit.clone().into(), origin: Origin::Decided }));
    }
    let named = policy.commit().or_else(|| tag(facts, &policy.commit_tag())).map(|text| name(text, "commit"));
    Ok(named.transpose()?.or_else(|| pinned_by_rollout(facts)))
}

/// The commit that a rollout pinned for the whole group.
fn pinned_by_rollout(facts: &Facts) -> Option<Sourced<CommitPrefix>> {
    let pin = facts.fleet.pin.as_ref()?;
    let place = facts.fleet.place.clone().unwrap_or_default();
    Some(Sourced { value: pin.commit.clone().into(), origin: Origin::Fleet(place) })
}
