//! Values of a secret that must not be in files which everyone may download, such as the bundle of a front end.
//!
//! Looks for whole values of at least 8 characters, unchanged and in the forms in which a bundler or a program writes
//! them, and for passwords in addresses. Leaves out ordinary values: `production` is in every bundle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::Secret;
use super::forms::{self, Form};

/// Characters of a value, and bytes of a form. Shorter ones occur in a bundle by chance.
const SHORTEST: usize = 8;
/// The bytes of a form's beginning by which it is found.
const START: usize = 4;

/// The values, each with its variable's name. `Debug` and `Serialize` show only the names.
#[derive(Clone, PartialEq, Eq)]
pub struct Confidential {
    names: Vec<String>,
    forms: Arc<[Form]>,
}

impl Confidential {
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        let (mut names, mut forms) = (Vec::new(), Vec::new());
        for (name, value) in values {
            let of_value = forms::disclosing(name, value, SHORTEST);
            if !of_value.is_empty() {
                names.push(name.to_owned());
            }
            forms.extend(of_value);
        }
        Confidential { names, forms: forms.into() }
    }

    /// The variables whose values are looked for.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What looks for the values in the parts of a file.
    pub fn finder(&self) -> Finder<'_> {
        let mut by_start: BTreeMap<[u8; START], Vec<&Form>> = BTreeMap::new();
        let mut may_start = vec![false; 1 << 16];
        for form in self.forms.iter() {
            if let Some(start) = form.text.expose().as_bytes().first_chunk::<START>() {
                may_start[pair(start[0], start[1])] = true;
                by_start.entry(*start).or_default().push(form);
            }
        }
        let longest = self.forms.iter().map(|form| form.text.expose().len()).max().unwrap_or(0);
        Finder { by_start, may_start, longest }
    }
}

fn pair(first: u8, second: u8) -> usize {
    (usize::from(first) << 8) | usize::from(second)
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confidential").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Serialize for Confidential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut confidential = serializer.serialize_struct("Confidential", 1)?;
        confidential.serialize_field("sealed_keys", &self.names)?;
        confidential.end()
    }
}

pub struct Finder<'a> {
    by_start: BTreeMap<[u8; START], Vec<&'a Form>>,
    /// Whether a form begins with these two bytes: most places of a file are passed by this alone.
    may_start: Vec<bool>,
    longest: usize,
}

impl<'a> Finder<'a> {
    /// The variable of the first value in the text.
    pub fn find(&self, text: &[u8]) -> Option<&'a str> {
        for (at, start) in text.windows(START).enumerate() {
            if !self.may_start[pair(start[0], start[1])] {
                continue;
            }
            let Some(forms) = start.first_chunk::<START>().and_then(|start| self.by_start.get(start)) else {
                continue;
            };
            let found = forms.iter().find(|form| text[at..].starts_with(form.text.expose().as_bytes()));
            if let Some(form) = found {
                return Some(&form.name);
            }
        }
        None
    }

    /// How many bytes of a part must be read again with the next one, so that no value is missed between two parts.
    pub fn overlap(&self) -> usize {
        self.longest.saturating_sub(1)
    }

    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &[(&str, &str)] = &[
        ("API_KEY", "sk-live-7Yq\"2/xx"),
        ("DATABASE_URL", "postgres://app:p%40ssw0rd99@db.internal/shop"),
        ("NODE_ENV", "production"),
        ("PIN", "7351"),
        ("REGION", "eu-central-1"),
        ("CERTIFICATE", "-----BEGIN X-----\nMIIabcdef0123456\n-----END X-----"),
        ("ACCOUNT", r#"{"auth_uri": "https://accounts.example/auth", "private_key": "MIIEvQ+secret/0"}"#),
    ];

    fn found(text: &str) -> Option<String> {
        let values: Vec<(&str, Secret)> =
            VALUES.iter().map(|(name, value)| (*name, Secret::new(*value))).collect();
        let confidential = Confidential::new(values.iter().map(|(name, value)| (*name, value)));
        assert_eq!(confidential.names(), ["API_KEY", "DATABASE_URL", "CERTIFICATE", "ACCOUNT"]);
        confidential.finder().find(text.as_bytes()).map(str::to_owned)
    }

    #[test]
    fn values_are_found_in_the_forms_in_which_a_bundler_writes_them() {
        for (text, name) in [
            ("const k='sk-live-7Yq\"2/xx';", "API_KEY"),
            (r#"{"k":"sk-live-7Yq\"2/xx"}"#, "API_KEY"),
            ("?key=sk-live-7Yq%222%2Fxx&", "API_KEY"),
            ("atob('c2stbGl2ZS03WXEiMi94eA==')", "API_KEY"),
            ("url:\"postgres://app:p%40ssw0rd99@db.internal/shop\"", "DATABASE_URL"),
            ("password:'p@ssw0rd99'", "DATABASE_URL"),
            (r#"pem="-----BEGIN X-----\nMIIabcdef0123456\n-----END X-----""#, "CERTIFICATE"),
            ("key:`MIIEvQ+secret/0`", "ACCOUNT"),
        ] {
            assert_eq!(found(text).as_deref(), Some(name), "{text}");
        }
    }

    #[test]
    fn ordinary_short_and_partial_values_are_not_refused() {
        for text in [
            "mode:'production',region:'eu-central-1',pin:7351",
            "sk-live-7Yq",
            "-----BEGIN X-----",
            "https://accounts.example/auth",
            "cHJvZHVjdGlvbg==",
            "",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn a_value_is_shown_by_its_name_only() {
        let secret = Secret::new("hunter2hunter2!");
        let confidential = Confidential::new([("TOKEN", &secret)]);
        assert_eq!(serde_json::to_string(&confidential).unwrap(), r#"{"sealed_keys":["TOKEN"]}"#);
        assert!(!format!("{confidential:?}").contains("hunter2"));
        assert!(confidential.finder().overlap() >= 14 && !confidential.finder().is_empty());
        assert!(Confidential::new([("A", &Secret::new("short"))]).finder().is_empty());
    }
}
