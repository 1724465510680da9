//! The tables `[apt.NAME]`: signed repositories of packages, besides those of the distribution. Only the policy can name one:
//! what it serves is installed by root.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Policy;
use super::package_repository::{check_key, is_name, is_web, plain};
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AptWords {
    pub url: String,
    pub suite: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// A file of this machine, or an https address.
    pub key: String,
    /// SHA-256 of the key at an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_sha256: Option<String>,
}

/// The repositories by their names.
pub type AptRepositories = BTreeMap<String, AptWords>;

const MOST_COMPONENTS: usize = 10;

impl AptWords {
    /// `name` is the table's.
    pub fn check(&self, name: &str) -> Result<(), String> {
        let key = format!("apt.{}", name.escape_default());
        if !is_name(name) {
            return Err(format!("{key} is not a name of letters, digits and -"));
        }
        // What is fetched is signed, so http:// is as safe as https://.
        if !is_web(&self.url, &["https://", "http://"]) {
            return Err(format!("{key}.url is not an address like https://repo.mongodb.org/apt/debian"));
        }
        if !plain(&self.suite, "._-/+") {
            return Err(format!("{key}.suite is not a suite like bookworm/mongodb-org/8.0"));
        }
        let components = self.components.iter().all(|component| plain(component, "._-+"));
        if !components || self.components.len() > MOST_COMPONENTS {
            return Err(format!("{key}.components is not a list of components like [\"main\"]"));
        }
        if self.components.is_empty() != self.suite.ends_with('/') {
            return Err(format!("{key} needs components, or a suite that ends with / and no components"));
        }
        check_key(&format!("{key}.key"), &self.key, self.key_sha256.as_deref())
    }
}

impl Policy {
    /// The repositories of all layers, and the settings that name them.
    pub fn apt(&self) -> (AptRepositories, Vec<Setting>) {
        let (mut all, mut settings) = (AptRepositories::new(), BTreeMap::new());
        for (origin, fragment) in &self.layers {
            for (name, words) in &fragment.apt {
                all.insert(name.clone(), words.clone());
                let value = format!("{} {} {}", words.url, words.suite, words.components.join(" "));
                let value = value.trim_end().to_owned();
                let setting = Setting { name: format!("apt.{name}"), value, origin: origin.to_string() };
                settings.insert(name.clone(), setting);
            }
        }
        (all, settings.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(change: impl FnOnce(&mut AptWords)) -> Result<(), String> {
        let mut words = AptWords {
            url: "https://repo.mongodb.org/apt/debian".to_owned(),
            suite: "bookworm/mongodb-org/8.0".to_owned(),
            components: vec!["main".to_owned()],
            key: "/etc/bootagent/keys/mongodb.asc".to_owned(),
            key_sha256: None,
        };
        change(&mut words);
        words.check("mongodb")
    }

    #[test]
    fn a_repository_has_an_address_and_a_key() {
        assert_eq!(words(|_| {}), Ok(()));
        assert_eq!(words(|words| (words.suite, words.components) = ("./".to_owned(), Vec::new())), Ok(()));
        let sha256 = Some("0123456789abcdef".repeat(4));
        assert_eq!(
            words(|words| {
                words.key = "https://pgp.mongodb.com/server-8.0.asc".to_owned();
                words.key_sha256 = sha256;
            }),
            Ok(())
        );
    }

    #[test]
    fn what_could_add_a_line_or_leave_the_signature_out_is_refused() {
        for (says, change) in [
            ("url", (|words| words.url = "https://x/\nTrusted: yes".to_owned()) as fn(&mut AptWords)),
            ("url", |words| words.url = "file:///srv".to_owned()),
            ("suite", |words| words.suite = "bookworm main".to_owned()),
            ("components", |words| words.components = vec!["[trusted=yes]".to_owned()]),
            ("components", |words| words.components = Vec::new()),
            ("key", |words| words.key = String::new()),
            ("key", |words| words.key = "keys/x.asc".to_owned()),
            ("key", |words| words.key = "https://x/key.asc".to_owned()),
            ("key", |words| words.key_sha256 = Some("0".repeat(64))),
            ("key_sha256", |words| {
                words.key = "https://x/key.asc".to_owned();
                words.key_sha256 = Some("abc".to_owned());
            }),
        ] {
            let error = words(change).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(AptWords::default().check("../x").unwrap_err().contains("not a name"));
    }
}
