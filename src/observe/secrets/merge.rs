//! Merges the values of several sources in their order: picks and renames keys, and notes where each variable comes from.
//!
//! As everywhere below `secrets`, errors have names, never values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Variables, doing, read, refuse, refused};
use crate::error::{Code, Error, Result};
use crate::facts::{ValuePlace, ValueSource};
use crate::secret::Secret;

/// The limit for all sources together, in bytes: half of what Linux accepts as a process's environment.
pub const MOST_BYTES_TOGETHER: usize = 1 << 20;

/// What was read from one place, before keys are picked.
#[derive(Clone)]
pub struct PlaceValues {
    pub place: ValuePlace,
    pub content: Content,
}

#[derive(Clone)]
pub enum Content {
    /// There is no such secret or parameter.
    Absent,
    /// The text of a secret or a parameter.
    Text(Secret),
    /// The parameters below a path, by their name without it.
    Listed(Vec<(String, Secret)>),
}

/// The variables of all sources.
#[derive(Clone, Default)]
pub struct Merged {
    pub variables: Variables,
    /// Where each variable comes from.
    pub origins: BTreeMap<String, ValueOrigin>,
}

/// Where a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueOrigin {
    pub place: ValuePlace,
    /// Its name there, if it was renamed.
    pub key: Option<String>,
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key} of {}", self.place),
            None => write!(f, "{}", self.place),
        }
    }
}

/// The values of a service: merged, and what they were merged from.
#[derive(Clone, Default)]
pub struct Collected {
    pub merged: Merged,
    /// The sources besides the service's own secret.
    pub sources: Vec<ValueSource>,
    /// What was read of each place, with which another release's variables can be made.
    pub read: Vec<PlaceValues>,
}

/// Merges the sources; a later one replaces variables of an earlier one. `read` has what was read of each. Fails if a
/// variable is refused; without `allow`, nothing is judged.
pub fn merge(
    sources: &[ValueSource],
    read: &[PlaceValues],
    allow: Option<&BTreeSet<String>>,
) -> Result<Merged> {
    let (mut merged, mut bytes) = (Merged::default(), 0);
    for source in sources {
        let Some(found) = read.iter().find(|found| found.place == source.place) else {
            return Err(Error::new(Code::Bug, doing_place(&source.place), "it was not read"));
        };
        for (name, key, value) in taken(source, &found.content)? {
            if let Some(allow) = allow {
                check(&source.place, &name, &value, allow)?;
            }
            bytes += name.len() + value.expose().len();
            if bytes > MOST_BYTES_TOGETHER {
                let cause = format!(
                    "all values together have more than {MOST_BYTES_TOGETHER} bytes, which is the limit"
                );
                return Err(Error::new(Code::SecretInvalid, doing_place(&source.place), cause));
            }
            let key = Some(key).filter(|key| *key != name);
            merged.origins.insert(name.clone(), ValueOrigin { place: source.place.clone(), key });
            merged.variables.insert(name, value);
        }
    }
    Ok(merged)
}

fn check(place: &ValuePlace, name: &str, value: &Secret, allow: &BTreeSet<String>) -> Result<()> {
    if let Some(reason) = refused(name, allow) {
        return Err(refuse(doing_place(place), name, reason));
    }
    match value.expose().contains('\0') {
        true => {
            let cause = format!("{name} contains a NUL byte, which no environment variable can contain");
            Err(Error::new(Code::SecretInvalid, doing_place(place), cause))
        }
        false => Ok(()),
    }
}

/// `reading secret shared/db`.
fn doing_place(place: &ValuePlace) -> String {
    match place {
        ValuePlace::Secret(name) => doing(name),
        place => format!("reading {place}"),
    }
}

/// The variables that a source contributes: name, key in the source, value.
fn taken(source: &ValueSource, content: &Content) -> Result<Vec<(String, String, Secret)>> {
    if let (Some(name), Content::Text(text)) = (&source.whole, content) {
        // The key is the name: the value is the whole of the place.
        return Ok(vec![(name.clone(), name.clone(), text.clone())]);
    }
    let values = match content {
        Content::Absent if source.optional => return Ok(Vec::new()),
        Content::Absent => return Err(Error::new(Code::Bug, doing_place(&source.place), "it is absent")),
        Content::Text(text) => read(source.place.name(), text.expose())?,
        Content::Listed(listed) => named(source, listed)?,
    };
    refuse_missing(source, &values)?;
    let mut all = BTreeMap::new();
    for (key, value) in values.iter() {
        let Some(name) = new_name(source, key) else { continue };
        if let Some((other, _)) = all.insert(name.clone(), (key.to_owned(), value.clone())) {
            let cause = format!("{other} and {key} would both become {name}: rename one of them in env.from");
            return Err(Error::new(Code::SecretInvalid, doing_place(&source.place), cause));
        }
    }
    Ok(all.into_iter().map(|(name, (key, value))| (name, key, value)).collect())
}

/// The variable of a key; none if the key is not taken.
fn new_name(source: &ValueSource, key: &str) -> Option<String> {
    if let Some(name) = source.rename.get(key) {
        return Some(name.clone());
    }
    let is_taken = source.keys.as_ref().is_none_or(|keys| keys.contains(key));
    is_taken.then(|| format!("{}{key}", source.prefix))
}

fn refuse_missing(source: &ValueSource, values: &Variables) -> Result<()> {
    let asked: BTreeSet<&String> = source.keys.iter().flatten().chain(source.rename.keys()).collect();
    let missing: Vec<&str> =
        asked.into_iter().map(String::as_str).filter(|key| values.get(key).is_none()).collect();
    if missing.is_empty() || source.optional {
        return Ok(());
    }
    let cause = format!("it has no {}, which env.from asks for", missing.join(", "));
    Err(Error::new(Code::SecretKeyMissing, doing_place(&source.place), cause).remedy(
        "add the key there, or correct env.from in bootagent.toml (optional = true allows missing keys)",
    ))
}

/// The parameters below a path as variables: `db/host` is `db_host`.
fn named(source: &ValueSource, listed: &[(String, Secret)]) -> Result<Variables> {
    let mut variables = Variables::default();
    let mut from: BTreeMap<String, &str> = BTreeMap::new();
    for (parameter, value) in listed {
        let name: String =
            parameter.chars().map(|c| if matches!(c, '/' | '-' | '.') { '_' } else { c }).collect();
        let invalid = |cause: String| Err(Error::new(Code::SecretInvalid, doing_place(&source.place), cause));
        if let Some(why) = super::no_name(&name) {
            return invalid(format!("a parameter's name {why}"));
        }
        if let Some(other) = from.insert(name.clone(), parameter) {
            return invalid(format!("{other} and {parameter} would both become {name}"));
        }
        variables.insert(name, value.clone());
    }
    Ok(variables)
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
