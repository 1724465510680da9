//! Parses a secret, JSON or dotenv text, into variables.
//!
//! No error of this module quotes a value or a part of one: errors have only key names, lines and byte offsets. A key
//! that is not a variable name is not quoted either: it may be a part of a value, such as a line of a PEM key that was
//! pasted without quotes.

mod json;
mod merge;
mod names;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Code, Error, Result};
use crate::secret::Secret;

pub use merge::{Collected, Content, Merged, PlaceValues, ValueOrigin, merge};
pub use names::{Refusal, is_name, no_name, refusal, refused};

/// The limit of Secrets Manager for one secret.
pub const MOST_BYTES: usize = 65_536;
pub const MOST_KEYS: usize = 1_000;

/// The variables of a service, sorted by name. `Debug` shows only the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, Secret>);

impl Variables {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the variables of `other`, which replace those of the same name.
    pub fn extend(&mut self, other: Variables) {
        self.0.extend(other.0);
    }

    /// Returns the previous value of this name.
    pub fn insert(&mut self, name: impl Into<String>, value: Secret) -> Option<Secret> {
        self.0.insert(name.into(), value)
    }
}

/// Parses the text of the secret `name`, and refuses variables that change how programs are loaded, unless the manifest
/// allows them (`allow`).
pub fn parse(name: &str, text: &str, allow: &BTreeSet<String>) -> Result<Variables> {
    let variables = read(name, text)?;
    for (key, value) in variables.iter() {
        if let Some(reason) = refused(key, allow) {
            return Err(refuse(doing(name), key, reason));
        }
        if value.expose().contains('\0') {
            let cause = format!("{key} contains a NUL byte, which no environment variable can contain");
            return Err(Error::new(Code::SecretInvalid, doing(name), cause));
        }
    }
    Ok(variables)
}

/// The flag (`--env-file`) is named in place of the secret if the text comes from a file.
fn doing(name: &str) -> String {
    match name.starts_with("--") {
        true => format!("reading {name}"),
        false => format!("reading secret {name}"),
    }
}

/// Parses the text of the secret `name` without judging the names: JSON if it starts with `{`, else dotenv text.
pub fn read(name: &str, text: &str) -> Result<Variables> {
    let invalid = |cause: String| Error::new(Code::SecretInvalid, doing(name), cause);
    if text.len() > MOST_BYTES {
        return Err(invalid(format!("it has {} bytes; the limit is {MOST_BYTES}", text.len())));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let json = text.trim_start().starts_with('{');
    let pairs = if json { json::read(text) } else { text::read(text) }.map_err(invalid)?;
    if pairs.len() > MOST_KEYS {
        return Err(invalid(format!("it has {} keys; the limit is {MOST_KEYS}", pairs.len())));
    }
    let mut variables = Variables::default();
    for (key, value) in pairs {
        if variables.insert(key.clone(), value).is_some() {
            return Err(invalid(format!("{key} is there twice")));
        }
    }
    Ok(variables)
}

fn refuse(doing: String, key: &str, reason: &'static str) -> Error {
    let error = Error::new(Code::SecretKeyRefused, doing, format!("{key} is refused: {reason}"));
    match allowable(key) {
        true => error.remedy(ALLOW_IT.replace("{key}", key)),
        false => error,
    }
}

/// Whether the manifest can allow a refused name.
pub fn allowable(key: &str) -> bool {
    refusal(key).is_none_or(|refusal| refusal.allowable)
}

pub const ALLOW_IT: &str = "rename or remove the key, or, if the service really needs it, add \"{key}\" to env.allow in bootagent.toml";

/// The text of a binary secret, which must be UTF-8.
pub fn binary<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let cause = format!("its binary value is not UTF-8 at byte {}", error.valid_up_to());
        Error::new(Code::SecretInvalid, format!("reading secret {name}"), cause)
    })
}

#[cfg(test)]
mod tests;
