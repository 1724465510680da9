//! The table `[watch]`: what `bootagent watch` attends to while the service runs.

use serde::{Deserialize, Serialize};

use super::Policy;
use super::lifecycle::{TIMEOUT, TIMEOUTS, is_hook, shown};
use crate::plan::{Seconds, Setting};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Whether there is a watcher. Every other key switches it on, too.
    pub enabled: Option<bool>,
    /// The name of the terminate lifecycle hook.
    pub hook: Option<String>,
    /// The `HeartbeatTimeout` that the hook has.
    pub heartbeat_timeout: Option<Seconds>,
    /// How often to look for a new version of the secrets.
    pub secrets: Option<Seconds>,
    /// How long the service must be unhealthy until the instance is reported as unhealthy.
    pub unhealthy_after: Option<Seconds>,
    /// Whether a rebalance recommendation or a Spot notice makes Auto Scaling replace the instance.
    pub replace: Option<bool>,
}

/// Each look is a call of Secrets Manager that AWS charges.
const LEAST_SECRETS: Seconds = Seconds(10);
/// A service that systemd restarts, or that a run replaces, is unhealthy for a short time.
const LEAST_UNHEALTHY: Seconds = Seconds(60);
const MOST: Seconds = Seconds(24 * 3600);

impl Watch {
    pub fn is_empty(&self) -> bool {
        *self == Watch::default()
    }

    pub fn over(self, under: Watch) -> Watch {
        Watch {
            enabled: self.enabled.or(under.enabled),
            hook: self.hook.or(under.hook),
            heartbeat_timeout: self.heartbeat_timeout.or(under.heartbeat_timeout),
            secrets: self.secrets.or(under.secrets),
            unhealthy_after: self.unhealthy_after.or(under.unhealthy_after),
            replace: self.replace.or(under.replace),
        }
    }

    pub fn check(&self) -> Result<(), String> {
        if let Some(hook) = self.hook.as_deref().filter(|hook| !is_hook(hook)) {
            return Err(format!(
                "watch.hook is \"{}\": a hook's name has letters, digits, -, _ and /",
                shown(hook)
            ));
        }
        if let Some(timeout) = self.heartbeat_timeout.filter(|timeout| !TIMEOUTS.contains(&timeout.0)) {
            return Err(format!("watch.heartbeat_timeout is {timeout}: a hook has between 30 s and 2 h"));
        }
        if self.heartbeat_timeout.is_some() && self.hook.is_none() {
            return Err("watch.heartbeat_timeout is set without watch.hook".to_owned());
        }
        let bounded = [
            ("secrets", self.secrets, LEAST_SECRETS),
            ("unhealthy_after", self.unhealthy_after, LEAST_UNHEALTHY),
        ];
        for (key, time, least) in bounded {
            if time.is_some_and(|time| !(least..=MOST).contains(&time)) {
                return Err(format!("watch.{key} is not between {least} and {MOST}"));
            }
        }
        Ok(())
    }

    fn is_on(&self) -> bool {
        self.enabled.unwrap_or(!self.is_empty())
    }
}

/// What the watcher is to attend to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchWanted {
    pub hook: Option<String>,
    pub heartbeat_timeout: Seconds,
    pub secrets: Option<Seconds>,
    pub unhealthy_after: Option<Seconds>,
    pub replace: bool,
}

impl Policy {
    /// The watcher, if the policy wants one, and its settings.
    pub fn watch(&self) -> (Option<WatchWanted>, Vec<Setting>) {
        let all = self.layers.iter().map(|(_, fragment)| fragment.watch.clone());
        let watch = all.fold(Watch::default(), |under, layer| layer.over(under));
        if !watch.is_on() {
            return (None, Vec::new());
        }
        let setting = |name: &str, value: Option<String>, is_set: fn(&Watch) -> bool| {
            let origin = self.uppermost(|fragment| is_set(&fragment.watch).then_some(()))?.origin;
            Some(Setting { name: format!("watch.{name}"), value: value?, origin: origin.to_string() })
        };
        let time = |time: Option<Seconds>| time.map(|time| time.to_string());
        let settings = [
            setting("enabled", watch.enabled.map(|on| on.to_string()), |watch| watch.enabled.is_some()),
            setting("hook", watch.hook.clone(), |watch| watch.hook.is_some()),
            setting("heartbeat_timeout", time(watch.heartbeat_timeout), |watch| {
                watch.heartbeat_timeout.is_some()
            }),
            setting("secrets", time(watch.secrets), |watch| watch.secrets.is_some()),
            setting("unhealthy_after", time(watch.unhealthy_after), |watch| watch.unhealthy_after.is_some()),
            setting("replace", watch.replace.map(|on| on.to_string()), |watch| watch.replace.is_some()),
        ];
        let wanted = WatchWanted {
            hook: watch.hook,
            heartbeat_timeout: watch.heartbeat_timeout.unwrap_or(TIMEOUT),
            secrets: watch.secrets,
            unhealthy_after: watch.unhealthy_after,
            replace: watch.replace.unwrap_or(false),
        };
        (Some(wanted), settings.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_switches_the_watcher_on_and_enabled_overrides_it() {
        assert!(!Watch::default().is_on());
        let with = |text: &str| toml::from_str::<Watch>(text).unwrap();
        for on in ["enabled = true", "hook = 'drain'", "secrets = '5m'", "replace = false"] {
            assert!(with(on).is_on(), "{on}");
        }
        assert!(!with("enabled = false\nhook = 'drain'").is_on());
        let over = with("enabled = false").over(with("hook = 'drain'\nsecrets = '5m'"));
        assert!(!over.is_on() && over.hook.as_deref() == Some("drain"));
    }

    #[test]
    fn names_and_times_outside_their_limits_are_refused() {
        let check = |text: &str| toml::from_str::<Watch>(text).unwrap().check();
        for good in ["hook = 'a/b'\nheartbeat_timeout = '30s'", "secrets = '10s'", "unhealthy_after = '1m'"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, word) in [
            ("hook = 'a b'", "watch.hook"),
            ("hook = 'a'\nheartbeat_timeout = '29s'", "between 30 s and 2 h"),
            ("heartbeat_timeout = '60s'", "without watch.hook"),
            ("secrets = '9s'", "watch.secrets"),
            ("secrets = '25h'", "watch.secrets"),
            ("unhealthy_after = '59s'", "watch.unhealthy_after"),
        ] {
            assert!(check(bad).unwrap_err().contains(word), "{bad}");
        }
        assert!(toml::from_str::<Watch>("secret = '5m'").is_err());
    }
}
