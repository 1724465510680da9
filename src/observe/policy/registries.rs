//! The tables `[registries.NAME]`: private package registries. Only the policy says to which servers a token is sent: a
//! repository could name a server of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::facts::{Mirror, Registry, Service};
use crate::observe::secrets::is_name;
use crate::plan::Setting;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryWords {
    /// Whose packages it has: `npm` or `pypi`.
    pub kind: String,
    pub url: Mirror,
    /// The key of the install secret that has the token.
    pub token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The services that need it; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
}

pub type Registries = BTreeMap<String, RegistryWords>;

const KINDS: [&str; 2] = ["npm", "pypi"];
const MOST_SERVICES: usize = 1000;

impl RegistryWords {
    /// `name` is the table's.
    pub fn check(&self, name: &str) -> Result<(), String> {
        let key = format!("registries.{}", name.escape_default());
        if !KINDS.contains(&self.kind.as_str()) {
            return Err(format!("{key}.kind is none of {}", KINDS.join(", ")));
        }
        if !is_name(&self.token) {
            return Err(format!("{key}.token is not the name of a variable, such as NPM_TOKEN"));
        }
        let plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if self.username.as_ref().is_some_and(|name| name.is_empty() || name.len() > 200 || !plain(name)) {
            return Err(format!(
                "{key}.username has a space, a colon or another character that a login cannot have"
            ));
        }
        let services = self.services.iter().flatten();
        match services.clone().find(|service| Service::try_from(service.as_str()).is_err()) {
            _ if services.count() > MOST_SERVICES => {
                Err(format!("{key}.services has over {MOST_SERVICES} entries"))
            }
            Some(service) => {
                Err(format!("{key}.services has {}, which is not a service's name", service.escape_default()))
            }
            None => Ok(()),
        }
    }

    fn is_for(&self, service: &Service) -> bool {
        self.services.as_ref().is_none_or(|all| all.iter().any(|name| name == service.as_str()))
    }
}

impl Policy {
    /// The registries for a service, and the settings that name them. `secret` is the name of the install secret.
    pub fn registries(&self, service: &Service, secret: &str) -> (Vec<Registry>, Vec<Setting>) {
        let mut all = BTreeMap::new();
        for (origin, fragment) in &self.layers {
            for (name, words) in &fragment.registries {
                all.insert(name, (words, origin));
            }
        }
        all.retain(|_, (words, _)| words.is_for(service));
        let setting = |(name, (words, origin)): (&&String, &(&RegistryWords, _))| Setting {
            name: format!("registries.{name}"),
            value: format!("{} ({} of {secret})", words.url, words.token),
            origin: format!("{origin}"),
        };
        let settings = all.iter().map(setting).collect();
        let registry = |(name, (words, _)): (&String, (&RegistryWords, _))| Registry {
            name: name.clone(),
            kind: words.kind.clone(),
            url: words.url.clone(),
            token: words.token.clone(),
            username: words.username.clone(),
        };
        (all.into_iter().map(registry).collect(), settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut RegistryWords)) -> Result<(), String> {
        let mut words = RegistryWords {
            kind: "npm".to_owned(),
            url: Mirror::try_from("https://npm.acme.test/").unwrap(),
            token: "NPM_TOKEN".to_owned(),
            username: None,
            services: None,
        };
        change(&mut words);
        words.check("acme")
    }

    #[test]
    fn a_registry_has_an_https_address_and_the_name_of_a_key() {
        assert_eq!(checked(|_| ()), Ok(()));
        assert_eq!(checked(|words| words.username = Some("__token__".to_owned())), Ok(()));
        assert_eq!(checked(|words| words.services = Some(vec!["auth".to_owned()])), Ok(()));
        assert!(Mirror::try_from("http://npm.acme.test/").is_err());
        for (says, change) in [
            ("kind", (|words| words.kind = "maven".to_owned()) as fn(&mut RegistryWords)),
            ("token", |words| words.token = "npm_abcdef-123".to_owned()),
            ("token", |words| words.token = String::new()),
            ("username", |words| words.username = Some("a:b".to_owned())),
            ("username", |words| words.username = Some("a\r\nX: y".to_owned())),
            ("services", |words| words.services = Some(vec!["Auth!".to_owned()])),
        ] {
            let error = checked(change).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
