//! The table `[evidence]`: who learns besides this machine how a run ended: a log group of CloudWatch Logs, and the
//! CloudFormation stack of the instance's group.

use serde::{Deserialize, Serialize};

use super::Policy;
use super::lifecycle::shown;
use crate::facts::{Environment, Service};
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The log group that gets the error and the last lines of a failed run. It must exist.
    pub log_group: Option<String>,
    /// The name of the stack that is told whether the instance is healthy; `*`: the stack of the instance's group.
    pub stack: Option<String>,
}

/// AWS's limits of both names.
const LONGEST_GROUP: usize = 512;
const LONGEST_STACK: usize = 128;

impl Evidence {
    pub fn is_empty(&self) -> bool {
        *self == Evidence::default()
    }

    pub fn over(self, under: Evidence) -> Evidence {
        Evidence { log_group: self.log_group.or(under.log_group), stack: self.stack.or(under.stack) }
    }

    pub fn check(&self) -> Result<(), String> {
        if let Some(group) = self.log_group.as_deref().filter(|group| !is_log_group(group)) {
            return Err(format!(
                "evidence.log_group is \"{}\": a log group's name has letters, digits, and - _ . / #",
                shown(group)
            ));
        }
        let named = |stack: &str| stack.replace("{service}", "").replace("{environment}", "");
        let is_stack =
            |stack: &&str| *stack == "*" || (stack.len() <= LONGEST_STACK && is_name(&named(stack)));
        match self.stack.as_deref().filter(|stack| stack.is_empty() || !is_stack(stack)) {
            Some(stack) => Err(format!(
                "evidence.stack is \"{}\": a stack's name has letters, digits and -; \"*\" stands for the stack of the group",
                shown(stack)
            )),
            None => Ok(()),
        }
    }
}

fn is_log_group(name: &str) -> bool {
    (1..=LONGEST_GROUP).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./#".contains(c))
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The table's values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceWanted {
    pub log_group: Option<String>,
    pub stack: Option<String>,
}

impl Policy {
    /// The log group that a run needs before it knows its service.
    pub fn log_group(&self) -> Option<String> {
        self.uppermost(|fragment| fragment.evidence.log_group.clone()).map(|found| found.value)
    }

    pub fn evidence(&self, service: &Service, environment: &Environment) -> (EvidenceWanted, Vec<Setting>) {
        let log_group = self.uppermost(|fragment| fragment.evidence.log_group.clone());
        let stack = self.uppermost(|fragment| fragment.evidence.stack.clone());
        let fill = |pattern: String| {
            pattern.replace("{service}", service.as_str()).replace("{environment}", environment.as_str())
        };
        let stack = stack.map(|found| found.map(fill));
        let settings = [
            log_group.as_ref().map(|found| found.setting("evidence.log_group")),
            stack.as_ref().map(|found| found.setting("evidence.stack")),
        ];
        let wanted = EvidenceWanted {
            log_group: log_group.map(|found| found.value),
            stack: stack.map(|found| found.value),
        };
        (wanted, settings.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        toml::from_str::<Evidence>(text).map_err(|error| error.to_string())?.check()
    }

    #[test]
    fn names_of_aws_are_accepted() {
        let (group, stack) = ("x".repeat(LONGEST_GROUP), "x".repeat(LONGEST_STACK));
        for good in [
            "",
            "log_group = '/acme/bootagent_1.a#b'\nstack = 'auth-main'",
            "stack = '*'",
            "stack = 'acme-{service}-{environment}'",
            &format!("log_group = '{group}'\nstack = '{stack}'"),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        let long = "x".repeat(LONGEST_GROUP + 1);
        for (bad, says) in [
            ("log_group = ''", "evidence.log_group"),
            ("log_group = 'a b'", "evidence.log_group"),
            ("log_group = \"a\\u001b[31m\"", "evidence.log_group"),
            ("log_group = '{service}'", "evidence.log_group"),
            (&format!("log_group = '{long}'"), "evidence.log_group"),
            ("stack = ''", "evidence.stack"),
            ("stack = 'a*'", "evidence.stack"),
            ("stack = 'a/b'", "evidence.stack"),
            (&format!("stack = '{long}'"), "evidence.stack"),
            ("stack = true", "stack"),
            ("group = 'x'", "group"),
        ] {
            let cause = check(bad).unwrap_err();
            assert!(cause.contains(says) && !cause.contains('\u{1b}') && cause.len() < 400, "{bad}: {cause}");
        }
    }
}
