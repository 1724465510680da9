//! Which keys of a secret reach the service, by which files, and why others do not. For `bootagent env`; no value
//! leaves this module.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Dialect, systemd};
use crate::facts::Template;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::{ALLOW_IT, Merged, Variables, allowable, is_name, refused};
use crate::planner::compose::compose;
use crate::planner::values::origins;
use crate::secret::Secret;

/// The result for one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub key: String,
    /// Where it comes from, if there is more than one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(flatten)]
    pub arrives: Reaches,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "arrives", rename_all = "kebab-case")]
pub enum Reaches {
    /// In the process environment, and in `.env` if the service has one.
    Everywhere,
    /// In the process environment only: readers of `.env` would change the value.
    EnvironmentOnly { why: String, remedy: String },
    /// A run with this key fails.
    Nowhere { why: String, remedy: String },
}

impl Verdict {
    pub fn fails_a_run(&self) -> bool {
        matches!(self.arrives, Reaches::Nowhere { .. })
    }
}

const ENCODE: &str = "encode the value (base64) and let the service decode it, or remove the character";
const BY_ITSELF: &str = "nothing, if the service reads its environment, which .env does not override; for a program \
                         that reads only .env, encode the value (base64)";

/// The same checks as in a run, which stops at the first error; this reports all.
pub fn check(variables: &Variables, dotenv: Option<&Dialect>, allow: &BTreeSet<String>) -> Vec<Verdict> {
    let nowhere = |why: &str, remedy: String| Reaches::Nowhere { why: why.to_owned(), remedy };
    let judge = |key: &str, value: &Secret| {
        if let Some(why) = refused(key, allow) {
            let remedy = match allowable(key) {
                true => ALLOW_IT.replace("{key}", key),
                false => "rename or remove the key: env.allow cannot allow it".to_owned(),
            };
            return nowhere(&format!("refused: {why}"), remedy);
        }
        if let Some(why) = (systemd::SYSTEMD.uncarried)(key, value) {
            return nowhere(&format!("it {why}"), ENCODE.to_owned());
        }
        match dotenv.and_then(|dialect| (dialect.uncarried)(key, value)) {
            Some(why) => Reaches::EnvironmentOnly { why: format!("it {why}"), remedy: BY_ITSELF.to_owned() },
            None => Reaches::Everywhere,
        }
    };
    variables
        .iter()
        .map(|(key, value)| Verdict { key: key.to_owned(), from: None, arrives: judge(key, value) })
        .collect()
}

/// The same for the variables of all sources and for composed ones, with their origins.
pub fn check_all(values: &Merged, manifest: &Manifest, dotenv: Option<&Dialect>) -> Vec<Verdict> {
    let env = &manifest.env;
    let mut known = Variables::default();
    let port = manifest.port.map(|port| ("PORT".to_owned(), port.to_string()));
    for (name, value) in env.values.iter().map(|(name, value)| (name.clone(), value.clone())).chain(port) {
        known.insert(name, Secret::new(value));
    }
    known.extend(values.variables.clone());
    let (mut arriving, mut failing) = (values.variables.clone(), Vec::new());
    for name in env.compose.keys() {
        match compose(&only(&env.compose, name), &known) {
            Ok(composed) => arriving.extend(composed),
            Err(error) => {
                let report = error.in_public().report();
                let (why, remedy) = (report.causes.join(": "), report.remedy);
                let arrives = Reaches::Nowhere { why, remedy };
                failing.push(Verdict { key: name.clone(), from: None, arrives });
            }
        }
    }
    let origins = origins(manifest, values);
    let is_failing = |verdict: &Verdict| failing.iter().any(|failing| failing.key == verdict.key);
    let mut all = check(&arriving, dotenv, &env.allow);
    all.retain(|verdict| !is_failing(verdict));
    all.extend(failing);
    all.sort_by(|one, other| one.key.cmp(&other.key));
    for verdict in &mut all {
        verdict.from = origins.get(&verdict.key).cloned();
    }
    all
}

/// The template of this name, and all that it needs.
fn only(templates: &BTreeMap<String, String>, name: &str) -> BTreeMap<String, String> {
    let (mut chosen, mut due) = (BTreeMap::new(), vec![name.to_owned()]);
    while let Some(name) = due.pop() {
        let Some(text) = templates.get(&name).filter(|_| !chosen.contains_key(&name)) else { continue };
        let template = Template::parse(text, is_name).unwrap_or_default();
        due.extend(template.names().into_iter().map(str::to_owned));
        chosen.insert(name, text.clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::planner::env::{dotenv::NODE, render};

    fn of(key: &str, value: &str) -> Reaches {
        let mut variables = Variables::default();
        variables.insert(key, Secret::new(value));
        check(&variables, Some(&NODE), &[].into()).remove(0).arrives
    }

    fn why(arrives: Reaches) -> String {
        match arrives {
            Reaches::Everywhere => String::new(),
            Reaches::EnvironmentOnly { why, .. } | Reaches::Nowhere { why, .. } => why,
        }
    }

    #[test]
    fn each_value_has_its_reason() {
        for (key, value, says) in [
            ("A", "a\rb", "carriage return"),
            ("A", "pa$word{1}$$x", "contains a $"),
            ("A", "abc$", "contains a $"),
            ("A", "'\"` #", "all three kinds of quotes"),
            ("A", "it's #1\\", "ends with a backslash"),
            ("A", "a\\b'` #", "a backslash, ' and `"),
            ("__proto__", "a", "__proto__"),
        ] {
            let arrives = of(key, value);
            assert!(matches!(arrives, Reaches::EnvironmentOnly { .. }), "{value:?}");
            assert!(why(arrives).contains(says), "{value:?}");
        }
        for (key, value, says) in [
            ("A", "a\0b", "NUL"),
            ("A", "a\u{ffff}", "noncharacter"),
            ("LD_PRELOAD", "x", "refused"),
            ("NODE_OPTIONS", "x", "refused"),
        ] {
            let arrives = of(key, value);
            assert!(matches!(arrives, Reaches::Nowhere { .. }), "{key} {value:?}");
            assert!(why(arrives).contains(says), "{key} {value:?}");
        }
        for value in ["", "a b", "it's #1", "a\nb", "%HOME", "ü"] {
            assert_eq!(of("A", value), Reaches::Everywhere, "{value:?}");
        }
    }

    #[test]
    fn without_a_dotenv_and_with_env_allow_both_keys_arrive() {
        let mut variables = Variables::default();
        variables.insert("A", Secret::new("a\rb"));
        variables.insert("NODE_OPTIONS", Secret::new("x"));
        let verdicts = check(&variables, None, &["NODE_OPTIONS".to_owned()].into());
        assert!(verdicts.iter().all(|verdict| verdict.arrives == Reaches::Everywhere), "{verdicts:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_check_agrees_with_what_a_run_writes(
            value in prop_oneof![any::<String>(), "[\\x00\r\n '\"`#\\\\$a-b\u{ffff}]{0,8}"],
        ) {
            let mut variables = Variables::default();
            variables.insert("A", Secret::new(value.as_str()));
            let said = check(&variables, Some(&NODE), &[].into()).remove(0).arrives;
            match render(&variables, Some(&NODE), "header") {
                Err(_) => prop_assert!(matches!(said, Reaches::Nowhere { .. }), "refused, but not said so"),
                Ok((_, left_out)) if left_out.is_empty() => prop_assert_eq!(said, Reaches::Everywhere),
                Ok(_) => prop_assert!(matches!(said, Reaches::EnvironmentOnly { .. }), "left out, but not said so"),
            }
        }
    }
}
