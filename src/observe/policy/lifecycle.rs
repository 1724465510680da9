//! The table `[lifecycle]`: the launch lifecycle hook of the instance's Auto Scaling group, which a run completes.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::plan::{Seconds, Setting};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// The hook's name. Without it, nothing is sent to Auto Scaling.
    pub hook: Option<String>,
    /// The group's name, if IMDS shows no tag with it.
    pub group: Option<String>,
    /// The `HeartbeatTimeout` that the hook has.
    pub heartbeat_timeout: Option<Seconds>,
}

/// AWS's limit for both names.
const LONGEST_NAME: usize = 255;
/// AWS's limits of a hook's `HeartbeatTimeout`.
pub(super) const TIMEOUTS: std::ops::RangeInclusive<u64> = 30..=7200;
/// A heartbeat is sent every third of it, 20 s: in time for every hook, since AWS's shortest timeout is 30 s.
pub(super) const TIMEOUT: Seconds = Seconds(60);

impl Lifecycle {
    pub fn is_empty(&self) -> bool {
        *self == Lifecycle::default()
    }

    pub fn over(self, under: Lifecycle) -> Lifecycle {
        Lifecycle {
            hook: self.hook.or(under.hook),
            group: self.group.or(under.group),
            heartbeat_timeout: self.heartbeat_timeout.or(under.heartbeat_timeout),
        }
    }

    pub fn check(&self) -> Result<(), String> {
        if let Some(hook) = self.hook.as_deref().filter(|hook| !is_hook(hook)) {
            return Err(format!(
                "lifecycle.hook is \"{}\": a hook's name has letters, digits, -, _ and /",
                shown(hook)
            ));
        }
        if let Some(group) = self.group.as_deref().filter(|group| !is_group(group)) {
            return Err(format!("lifecycle.group is \"{}\", which is not a group's name", shown(group)));
        }
        if let Some(timeout) = self.heartbeat_timeout.filter(|timeout| !TIMEOUTS.contains(&timeout.0)) {
            return Err(format!("lifecycle.heartbeat_timeout is {timeout}: a hook has between 30 s and 2 h"));
        }
        let needs_hook =
            [("group", self.group.is_some()), ("heartbeat_timeout", self.heartbeat_timeout.is_some())];
        match needs_hook.into_iter().find(|(_, is_set)| *is_set && self.hook.is_none()) {
            Some((key, _)) => Err(format!("lifecycle.{key} is set without lifecycle.hook")),
            None => Ok(()),
        }
    }
}

pub(super) fn is_hook(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c))
}

fn is_group(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

pub(super) fn shown(value: &str) -> String {
    value.chars().take(40).flat_map(char::escape_default).collect()
}

/// The hook that a run completes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookWanted {
    pub hook: String,
    /// None: the tag of the instance has it.
    pub group: Option<String>,
    pub heartbeat_timeout: Seconds,
}

impl Policy {
    /// The hook, if the policy names one, and its settings.
    pub fn lifecycle(&self) -> (Option<HookWanted>, Vec<Setting>) {
        let Some(hook) = self.uppermost(|fragment| fragment.lifecycle.hook.clone()) else {
            return (None, Vec::new());
        };
        let group = self.uppermost(|fragment| fragment.lifecycle.group.clone());
        let timeout = self.uppermost(|fragment| fragment.lifecycle.heartbeat_timeout);
        let settings = [
            Some(hook.setting("lifecycle.hook")),
            group.as_ref().map(|found| found.setting("lifecycle.group")),
            timeout.as_ref().map(|found| found.setting("lifecycle.heartbeat_timeout")),
        ];
        let wanted = HookWanted {
            hook: hook.value,
            group: group.map(|found| found.value),
            heartbeat_timeout: timeout.map_or(TIMEOUT, |found| found.value),
        };
        (Some(wanted), settings.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifecycle(hook: Option<&str>, group: Option<&str>, timeout: Option<u64>) -> Lifecycle {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Lifecycle { hook: own(hook), group: own(group), heartbeat_timeout: timeout.map(Seconds) }
    }

    #[test]
    fn names_and_times_within_the_limits_of_aws_are_accepted() {
        let long = "x".repeat(LONGEST_NAME);
        for hook in ["ready", "launch/bootagent_1-a", &long] {
            assert_eq!(lifecycle(Some(hook), None, None).check(), Ok(()), "{hook}");
        }
        for group in ["auth-service-main", "ASG for auth: main/1", &long] {
            assert_eq!(lifecycle(Some("ready"), Some(group), Some(30)).check(), Ok(()), "{group}");
        }
        assert_eq!(lifecycle(Some("ready"), None, Some(7200)).check(), Ok(()));
        assert_eq!(Lifecycle::default().check(), Ok(()));
    }

    #[test]
    fn other_names_and_times_are_refused() {
        let long = "x".repeat(LONGEST_NAME + 1);
        for hook in ["", "a b", "a\n", "$(id)", "ready\u{1b}[31m", &long] {
            let cause = lifecycle(Some(hook), None, None).check().unwrap_err();
            assert!(cause.starts_with("lifecycle.hook") && cause.len() < 400, "{cause}");
            assert!(!cause.contains(['\n', '\u{1b}']), "{cause}");
        }
        for group in ["", "a\nb", &long] {
            let cause = lifecycle(Some("ready"), Some(group), None).check().unwrap_err();
            assert!(cause.starts_with("lifecycle.group") && !cause.contains('\n'), "{cause}");
        }
        for timeout in [0, 29, 7201] {
            let cause = lifecycle(Some("ready"), None, Some(timeout)).check().unwrap_err();
            assert!(cause.contains("between 30 s and 2 h"), "{cause}");
        }
    }

    #[test]
    fn a_group_without_a_hook_is_a_mistake() {
        for wrong in [lifecycle(None, Some("main"), None), lifecycle(None, None, Some(60))] {
            assert!(wrong.check().unwrap_err().ends_with("is set without lifecycle.hook"));
        }
    }
}
