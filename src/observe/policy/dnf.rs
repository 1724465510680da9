//! The tables `[dnf.NAME]`: signed repositories of RPM packages, besides those of the distribution. Only the policy can name
//! one: what it serves is installed by root.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Policy;
use super::package_repository::{check_key, is_name, is_web};
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DnfWords {
    /// May have dnf's variables `$releasever` and `$basearch`.
    pub baseurl: String,
    /// A file of this machine, or an https address. Every package must be signed by it.
    pub gpgkey: String,
    /// SHA-256 of the key at an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpgkey_sha256: Option<String>,
    /// Whether the list of packages is signed, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repo_gpgcheck: bool,
}

/// The repositories by their names.
pub type DnfRepositories = BTreeMap<String, DnfWords>;

impl DnfWords {
    /// `name` is the table's.
    pub fn check(&self, name: &str) -> Result<(), String> {
        let key = format!("dnf.{}", name.escape_default());
        if !is_name(name) {
            return Err(format!("{key} is not a name of letters, digits and -"));
        }
        let fixed = self.baseurl.replace("$releasever", "x").replace("$basearch", "x");
        if !is_web(&fixed, &["https://", "http://"]) {
            return Err(format!(
                "{key}.baseurl is not an address like https://repo.mongodb.org/yum/amazon/2023/mongodb-org/8.0/$basearch/"
            ));
        }
        // Packages are signed, but the list of them is not: over http another server could leave a new version out.
        if self.baseurl.starts_with("http://") && !self.repo_gpgcheck {
            return Err(format!("{key}.baseurl is http://: it needs repo_gpgcheck = true, or https://"));
        }
        check_key(&format!("{key}.gpgkey"), &self.gpgkey, self.gpgkey_sha256.as_deref())
    }
}

impl Policy {
    /// The repositories of all layers, and the settings that name them.
    pub fn dnf(&self) -> (DnfRepositories, Vec<Setting>) {
        let (mut all, mut settings) = (DnfRepositories::new(), BTreeMap::new());
        for (origin, fragment) in &self.layers {
            for (name, words) in &fragment.dnf {
                all.insert(name.clone(), words.clone());
                let value = words.baseurl.clone();
                let setting = Setting { name: format!("dnf.{name}"), value, origin: origin.to_string() };
                settings.insert(name.clone(), setting);
            }
        }
        (all, settings.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(change: impl FnOnce(&mut DnfWords)) -> Result<(), String> {
        let mut words = DnfWords {
            baseurl: "https://repo.mongodb.org/yum/amazon/2023/mongodb-org/8.0/$basearch/".to_owned(),
            gpgkey: "/etc/bootagent/keys/mongodb.asc".to_owned(),
            ..DnfWords::default()
        };
        change(&mut words);
        words.check("mongodb")
    }

    #[test]
    fn a_repository_has_an_address_and_a_key() {
        assert_eq!(words(|_| {}), Ok(()));
        assert_eq!(
            words(|words| {
                words.gpgkey = "https://pgp.mongodb.com/server-8.0.asc".to_owned();
                words.gpgkey_sha256 = Some("0123456789abcdef".repeat(4));
            }),
            Ok(())
        );
        assert_eq!(
            words(|words| {
                words.baseurl = "http://mirror.acme.test/el9".to_owned();
                words.repo_gpgcheck = true;
            }),
            Ok(())
        );
    }

    #[test]
    fn what_could_add_a_line_or_leave_the_signature_out_is_refused() {
        for (says, change) in [
            ("baseurl", (|words| words.baseurl = "https://x/\ngpgcheck=0".to_owned()) as fn(&mut DnfWords)),
            ("baseurl", |words| words.baseurl = "file:///srv".to_owned()),
            ("baseurl", |words| words.baseurl = "https://x/$HOME".to_owned()),
            ("repo_gpgcheck", |words| words.baseurl = "http://mirror.acme.test/el9".to_owned()),
            ("gpgkey", |words| words.gpgkey = String::new()),
            ("gpgkey", |words| words.gpgkey = "https://x/key.asc".to_owned()),
            ("gpgkey", |words| words.gpgkey_sha256 = Some("0".repeat(64))),
            ("gpgkey_sha256", |words| {
                words.gpgkey = "https://x/key.asc".to_owned();
                words.gpgkey_sha256 = Some("abc".to_owned());
            }),
        ] {
            let error = words(change).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(DnfWords::default().check("../x").unwrap_err().contains("not a name"));
    }
}
