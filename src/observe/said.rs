//! What a tag says, and whether a name that policy, flag or tag says is what the instance decided for.

use super::Decision;
use super::policy::{Origin, Policy, Sourced};
use crate::facts::{CommitPrefix, Environment, Facts};

/// Whether this is a name of the environment that was decided. The policy's own names go before the long ones.
pub fn is_environment(policy: &Policy, said: &str, decided: &Decision) -> bool {
    let short = Environment::try_from(said).ok().and_then(|name| name.short());
    let is_long_name = !policy.environments().value.contains_key(said);
    said == decided.environment.as_str() || (is_long_name && short.as_ref() == Some(&decided.environment))
}

/// Whether this is the commit that was decided, or the beginning of its id.
pub fn is_commit(said: &str, decided: &Decision) -> bool {
    CommitPrefix::try_from(said).is_ok_and(|prefix| prefix.fits(&decided.source.commit))
}

pub fn tag(facts: &Facts, key: &str) -> Option<Sourced<String>> {
    let value = facts.tags.as_ref()?.get(key)?;
    Some(Sourced { value: value.clone(), origin: Origin::Tag(key.to_owned()) })
}
