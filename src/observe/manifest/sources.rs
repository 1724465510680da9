//! Parses `env.from`: the sources of values besides the service's own secret. The policy says which of them are allowed.

use std::collections::{BTreeMap, BTreeSet};

use super::spanned::{Fault, Item, Placed, Read, Section, shown};
use super::values::{MOST_VARIABLES, named, names};
use crate::facts::{Arn, ValuePlace, ValueSource};
use crate::observe::secrets::{Refusal, refusal};

/// Each source is at least one request of every boot.
pub const MOST_SOURCES: usize = 20;
/// AWS's limit for the name of a secret is 512, and for a parameter's ARN 1011.
const LONGEST_NAME: usize = 1011;
const KEYS: &[&str] = &["as", "keys", "optional", "parameter", "parameters", "prefix", "rename", "secret"];
const A_SOURCE: &str = "a table such as { secret = \"shared/{environment}/database\" }";

/// A source, and the refused names that it would set.
#[derive(Clone)]
pub(super) struct Wanted {
    pub source: ValueSource,
    pub refused: Vec<Placed<(String, Refusal)>>,
}

pub(super) fn sources(item: &Item<'_>) -> Read<Vec<Wanted>> {
    let list = item.list(&format!("a list of sources, each {A_SOURCE}"), MOST_SOURCES)?;
    list.iter().map(source).collect()
}

#[derive(Default)]
struct Found {
    place: Option<ValuePlace>,
    keys: Option<BTreeSet<String>>,
    rename: BTreeMap<String, String>,
    prefix: Option<String>,
    whole: Option<String>,
    optional: bool,
    refused: Vec<Placed<(String, Refusal)>>,
}

fn source(item: &Item<'_>) -> Read<Wanted> {
    let section = item.table().map_err(|_| item.expected(A_SOURCE))?;
    let mut found = Found::default();
    for (key, at, item) in section.entries() {
        found.read(&section, key, at, &item)?;
    }
    found.finish(item)
}

impl Found {
    fn read(&mut self, section: &Section<'_>, key: &str, at: usize, item: &Item<'_>) -> Read<()> {
        match key {
            "secret" => self.place(item, ValuePlace::Secret(secret(item)?))?,
            "parameter" => self.place(item, ValuePlace::Parameter(parameter(item)?))?,
            "parameters" => self.place(item, ValuePlace::Parameters(path(item)?))?,
            "keys" => self.keys = Some(names(item, MOST_VARIABLES)?.into_iter().collect()),
            "rename" => self.rename(item)?,
            "prefix" => self.prefix = Some(named(item)?),
            "as" => {
                let name = named(item)?;
                self.refuse(item, &name);
                self.whole = Some(name);
            }
            "optional" => self.optional = item.flag()?,
            _ => return Err(section.unknown(key, at, KEYS, &[])),
        }
        Ok(())
    }

    fn place(&mut self, item: &Item<'_>, place: ValuePlace) -> Read<()> {
        match self.place.replace(place) {
            Some(other) => Err(item.fault(format!("stands beside {other}: write one table for each source"))),
            None => Ok(()),
        }
    }

    fn rename(&mut self, item: &Item<'_>) -> Read<()> {
        let mut new_names = BTreeSet::new();
        for (old, at, item) in item.bounded_table(MOST_VARIABLES)?.entries() {
            if !crate::observe::secrets::is_name(old) {
                let what = format!("{} is not a key that a source can have", shown(old));
                return Err(Fault { at, what: format!("env.from.rename: {what}") });
            }
            let new = named(&item)?;
            self.refuse(&item, &new);
            if !new_names.insert(new.clone()) {
                return Err(item.fault(format!("is \"{new}\", and so is another one's new name")));
            }
            self.rename.insert(old.to_owned(), new);
        }
        Ok(())
    }

    fn refuse(&mut self, item: &Item<'_>, name: &str) {
        self.refused.extend(refusal(name).map(|refusal| item.placed((name.to_owned(), refusal))));
    }

    fn finish(self, item: &Item<'_>) -> Read<Wanted> {
        let Some(place) = self.place else {
            return Err(item.fault("has a source without secret, parameter or parameters"));
        };
        let picks = self.keys.is_some() || !self.rename.is_empty() || self.prefix.is_some();
        let is_one = matches!(place, ValuePlace::Parameter(_));
        if picks && (is_one || self.whole.is_some()) {
            let what =
                "has keys, rename or prefix for a single value, which has no keys: as = \"NAME\" names it";
            return Err(item.fault(what));
        }
        let whole = match (self.whole, &place) {
            (Some(_), ValuePlace::Parameters(_)) => {
                return Err(item.fault("has as beside parameters, which are several values"));
            }
            (None, ValuePlace::Parameter(name)) => Some(last_part(item, name)?),
            (whole, _) => whole,
        };
        let mut refused = self.refused;
        // Judged also if it comes from the parameter's own name.
        let judged = whole.iter().filter_map(|name| Some((name.clone(), refusal(name)?)));
        refused.extend(judged.map(|found| item.placed(found)));
        let (keys, rename, prefix) = (self.keys, self.rename, self.prefix.unwrap_or_default());
        Ok(Wanted {
            source: ValueSource { place, keys, rename, prefix, whole, optional: self.optional },
            refused,
        })
    }
}

/// The variable of a parameter without `as`: `/auth/prod/API_KEY` is `API_KEY`.
fn last_part(item: &Item<'_>, name: &str) -> Read<String> {
    let last = name.rsplit('/').next().unwrap_or_default();
    match crate::observe::secrets::is_name(last) {
        true => Ok(last.to_owned()),
        false => {
            Err(item
                .fault(format!("has the parameter {}: as = \"NAME\" must name its variable", shown(name))))
        }
    }
}

/// A name of AWS with its placeholders. Letters are few: a name becomes part of messages and is compared with patterns
/// of the policy, so it may not have a `*`.
fn name(item: &Item<'_>, expected: &str, letters: &str) -> Read<String> {
    let text = item.string(expected)?;
    let rest = text.replace("{service}", "").replace("{environment}", "");
    let fits = |c: char| c.is_ascii_alphanumeric() || letters.contains(c);
    if rest.contains(['{', '}']) {
        return Err(
            item.fault(format!("is {}; only {{service}} and {{environment}} are placeholders", shown(text)))
        );
    }
    if text.is_empty() || text.len() > LONGEST_NAME || !rest.chars().all(fits) || text.starts_with("--") {
        return Err(item.fault(format!("is {}; expected {expected}", shown(text))));
    }
    if text.starts_with("arn:") && Arn::of(text).is_none() {
        return Err(item.fault(format!("is {}, which is not a complete ARN", shown(text))));
    }
    Ok(text.to_owned())
}

fn secret(item: &Item<'_>) -> Read<String> {
    name(item, "the name or ARN of a secret", "/_+=.@-:")
}

fn parameter(item: &Item<'_>) -> Read<String> {
    let expected = "the name of a parameter, like \"/auth/prod/API_KEY\", or its ARN";
    let name = name(item, expected, "/_.-:")?;
    match name.starts_with('/') || name.starts_with("arn:") {
        true => Ok(name),
        false => Err(item.fault(format!("is {}; expected {expected}", shown(&name)))),
    }
}

/// Without the slash at its end. The root, `/`, would be all parameters of the account.
fn path(item: &Item<'_>) -> Read<String> {
    let expected = "a path of parameters, like \"/auth/prod\"";
    let text = name(item, expected, "/_.-")?;
    let path = text.strip_suffix('/').unwrap_or(&text);
    match path.len() > 1 && path.starts_with('/') && !path.contains("//") {
        true => Ok(path.to_owned()),
        false => Err(item.fault(format!("is {}; expected {expected}", shown(&text)))),
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
