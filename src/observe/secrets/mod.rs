//! What a secret holds: JSON object or dotenv text in, variables out.
//!
//! No message of this module repeats a value, not even in part: errors speak of key names, lines and
//! byte offsets. What looks like a key but is no variable name may be a piece of a value (a PEM body
//! that was pasted without quotes), so it is not repeated either.

mod json;
mod names;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Code, Error, Result};
use crate::secret::Secret;

pub use names::{Refusal, is_name, refusal, refused};

/// Secrets Manager's own limit for one secret.
pub const MOST_BYTES: usize = 65_536;
pub const MOST_KEYS: usize = 1_000;

/// The variables of a service, in the order of their names. Shows names only.
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

    /// Returns what stood under this name before.
    pub fn insert(&mut self, name: impl Into<String>, value: Secret) -> Option<Secret> {
        self.0.insert(name.into(), value)
    }
}

/// Reads the secret `name` and judges its variables. Those on the refuse list are let through only if
/// they can be allowed and `allow` names them.
pub fn parse(name: &str, text: &str, allow: &BTreeSet<String>) -> Result<Variables> {
    let variables = read(name, text)?;
    for (key, value) in variables.iter() {
        if let Some(reason) = refused(key, allow) {
            return Err(refuse(doing(name), key, reason));
        }
        if value.expose().contains('\0') {
            let cause = format!("{key} contains a NUL byte, which no environment can carry");
            return Err(Error::new(Code::SecretInvalid, doing(name), cause));
        }
    }
    Ok(variables)
}

/// A file that a flag names stands in for the secret: then the flag is what an error names.
fn doing(name: &str) -> String {
    match name.starts_with("--") {
        true => format!("reading {name}"),
        false => format!("reading secret {name}"),
    }
}

/// What the secret `name` holds, whatever that is: a JSON object if it starts with `{`, dotenv text
/// otherwise.
pub fn read(name: &str, text: &str) -> Result<Variables> {
    let invalid = |cause: String| Error::new(Code::SecretInvalid, doing(name), cause);
    if text.len() > MOST_BYTES {
        return Err(invalid(format!("it has {} bytes; at most {MOST_BYTES} are read", text.len())));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let json = text.trim_start().starts_with('{');
    let pairs = if json { json::read(text) } else { text::read(text) }.map_err(invalid)?;
    if pairs.len() > MOST_KEYS {
        return Err(invalid(format!("it has {} keys; at most {MOST_KEYS} are read", pairs.len())));
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

/// Whether a refused name could be let through by the manifest.
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
