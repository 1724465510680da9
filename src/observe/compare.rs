//! Reads tags, and compares names in policy, flags and tags with what the instance is pinned to.

use super::Decision;
use super::policy::{Origin, Policy, Sourced};
use crate::error::{Code, Error};
use crate::facts::{CommitPrefix, Environment, Facts};

/// Whether `text` names the pinned environment. `production` means `prod` only if the policy has no `production`.
pub fn is_environment(policy: &Policy, text: &str, decided: &Decision) -> bool {
    let short = Environment::try_from(text).ok().and_then(|name| name.short());
    let is_long_name = !policy.environments().value.contains_key(text);
    text == decided.environment.as_str() || (is_long_name && short.as_ref() == Some(&decided.environment))
}

/// Whether `text` is the id of the pinned commit, or its beginning.
pub fn is_commit(text: &str, decided: &Decision) -> bool {
    CommitPrefix::try_from(text).is_ok_and(|prefix| prefix.fits(&decided.source.commit))
}

/// The value of the instance's tag, if it has one with this key.
pub fn tag(facts: &Facts, key: &str) -> Option<Sourced<String>> {
    let value = facts.tags.as_ref()?.get(key)?;
    Some(Sourced { value: value.clone(), origin: Origin::Tag(key.to_owned()) })
}

/// The error of a flag that names something else than the instance is pinned to.
pub(super) fn contradiction(flag: &str, value: &str, before: &str) -> Error {
    let cause = format!("this instance is pinned to {before} since its first boot");
    let doing = format!("reading the flag --{flag} {}", value.escape_default());
    Error::new(Code::Usage, doing, cause).remedy("add --update to choose again")
}
