//! The table `[values]`: which secrets and parameters a manifest may name in `env.from`, besides the service's own secret.
//!
//! A role may often read more than one service needs. Without these patterns, a user who can push to a repository could
//! have any of it written into the service's environment.

use serde::{Deserialize, Serialize};

use super::{Policy, Sourced};
use crate::facts::{Environment, Service, ValuePlace};
use crate::plan::Setting;

pub const MOST_PATTERNS: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    pub secrets: Option<Vec<String>>,
    pub parameters: Option<Vec<String>>,
}

impl Values {
    pub fn is_empty(&self) -> bool {
        *self == Values::default()
    }

    pub fn over(self, under: Values) -> Values {
        Values { secrets: self.secrets.or(under.secrets), parameters: self.parameters.or(under.parameters) }
    }

    pub fn patterns(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let secrets = self.secrets.iter().flatten().map(|pattern| ("values.secrets", pattern));
        secrets.chain(self.parameters.iter().flatten().map(|pattern| ("values.parameters", pattern)))
    }
}

/// The patterns for one service and environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValuesAllowed {
    secrets: Vec<String>,
    parameters: Vec<String>,
}

/// Parameter Store answers names below this path with secrets of Secrets Manager: a pattern for parameters must say so.
const SECRETS: &str = "/aws/reference/secretsmanager/";

impl ValuesAllowed {
    pub fn allows(&self, place: &ValuePlace) -> bool {
        match place {
            ValuePlace::Secret(name) => self.secrets.iter().any(|pattern| covers(pattern, name)),
            ValuePlace::Parameter(name) => self.parameters.iter().any(|pattern| {
                covers(pattern, name) && (!name.starts_with(SECRETS) || pattern.starts_with(SECRETS))
            }),
            // All names below the path must be allowed: the pattern must begin like the path and leave its end open.
            ValuePlace::Parameters(path) => {
                let all = format!("{path}/");
                self.parameters.iter().any(|pattern| pattern.ends_with('*') && covers(pattern, &all))
            }
        }
    }

    /// The patterns that decide for a place, for an error.
    pub fn for_place(&self, place: &ValuePlace) -> &[String] {
        match place {
            ValuePlace::Secret(_) => &self.secrets,
            ValuePlace::Parameter(_) | ValuePlace::Parameters(_) => &self.parameters,
        }
    }
}

/// Whether a pattern fits a name; `*` stands for any text. A pattern for names fits no ARN: an ARN can name another
/// account, so a pattern for it begins with `arn:`, too.
fn covers(pattern: &str, name: &str) -> bool {
    pattern.starts_with("arn:") == name.starts_with("arn:") && fits(pattern, name)
}

fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            let Some((_, after)) = rest.split_once(before) else { return false };
            rest = after;
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

impl Policy {
    /// By default, a manifest may name secrets below the service's own (`service_env_auth_prod/...`), and the parameters
    /// below `/auth/prod/`.
    pub fn values(
        &self,
        service: &Service,
        environment: &Environment,
        secret: &str,
    ) -> (ValuesAllowed, Vec<Setting>) {
        let fill = |pattern: &String| {
            pattern.replace("{service}", service.as_str()).replace("{environment}", environment.as_str())
        };
        let filled = |patterns: &Vec<String>| patterns.iter().map(fill).collect::<Vec<_>>();
        let secrets = self.uppermost(|fragment| fragment.values.secrets.as_ref().map(filled));
        let parameters = self.uppermost(|fragment| fragment.values.parameters.as_ref().map(filled));
        let settings = [("values.secrets", &secrets), ("values.parameters", &parameters)];
        let setting = |(name, found): (&str, &Option<Sourced<Vec<String>>>)| {
            found.as_ref().map(|found| Setting {
                name: name.to_owned(),
                value: found.value.join(", "),
                origin: found.origin.to_string(),
            })
        };
        let settings = settings.into_iter().filter_map(setting).collect();
        let or_default = |found: Option<Sourced<Vec<String>>>, default: String| {
            found.map_or_else(|| vec![default], |found| found.value)
        };
        let allowed = ValuesAllowed {
            secrets: or_default(secrets, format!("{secret}/*")),
            parameters: or_default(parameters, format!("/{service}/{environment}/*")),
        };
        (allowed, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(secrets: &[&str], parameters: &[&str]) -> ValuesAllowed {
        let own = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        ValuesAllowed { secrets: own(secrets), parameters: own(parameters) }
    }

    fn secret(name: &str) -> ValuePlace {
        ValuePlace::Secret(name.to_owned())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("a", "a"),
            ("a*", "a"),
            ("a/*", "a/b/c"),
            ("*", "a"),
            ("*/b", "a/b"),
            ("a*c*e", "abcde"),
            ("a**b", "ab"),
            ("shared/*/db", "shared/x/y/db"),
            ("*a*", "bab"),
        ] {
            assert!(fits(pattern, name), "{pattern} does not fit {name}");
        }
        for (pattern, name) in [
            ("a", "ab"),
            ("a", "A"),
            ("a/*", "a"),
            ("*/b", "a/bc"),
            ("a*a", "a"),
            ("a*c*e", "abde"),
            ("", "a"),
            ("shared/*/db", "shared/db"),
        ] {
            assert!(!fits(pattern, name), "{pattern} fits {name}");
        }
    }

    #[test]
    fn patterns_for_names_fit_no_arn() {
        let arn = "arn:aws:secretsmanager:eu-west-1:210987654321:secret:shared/db-AbCdEf";
        assert!(!allowed(&["*"], &[]).allows(&secret(arn)));
        let of_account = "arn:aws:secretsmanager:*:210987654321:secret:shared/*";
        assert!(allowed(&[of_account], &[]).allows(&secret(arn)));
        assert!(!allowed(&[of_account], &[]).allows(&secret(&arn.replace("2109", "6666"))));
        assert!(!allowed(&["arn:*"], &[]).allows(&secret("shared/db")));
    }

    #[test]
    fn a_path_is_allowed_only_with_all_that_is_below_it() {
        let path = |path: &str| ValuePlace::Parameters(path.to_owned());
        let auth = allowed(&[], &["/auth/prod/*"]);
        assert!(auth.allows(&path("/auth/prod")) && auth.allows(&path("/auth/prod/db")));
        for other in ["/auth", "/auth/production", "/auth/prod2", "/"] {
            assert!(!auth.allows(&path(other)), "{other}");
        }
        assert!(!allowed(&[], &["/auth/*/db"]).allows(&path("/auth/x")));
        assert!(!allowed(&[], &["/auth/prod"]).allows(&path("/auth/prod")));
        assert!(!allowed(&[], &["/auth/*/"]).allows(&path("/auth/x")));
    }

    #[test]
    fn a_parameter_needs_a_pattern_for_parameters() {
        let parameter = ValuePlace::Parameter("/auth/prod/KEY".to_owned());
        assert!(allowed(&[], &["/auth/*"]).allows(&parameter));
        assert!(!allowed(&["*"], &["/mail/*"]).allows(&parameter));
        let secret = ValuePlace::Parameter("/aws/reference/secretsmanager/other".to_owned());
        assert!(!allowed(&[], &["*"]).allows(&secret) && !allowed(&[], &["/aws/*"]).allows(&secret));
        assert!(allowed(&[], &["/aws/reference/secretsmanager/other"]).allows(&secret));
    }
}
