//! The table `[hooks]`: how long each of the operator's hooks may take.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::fault::Phase;
use crate::plan::{Seconds, Setting};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    pub timeout: Option<Seconds>,
}

impl Hooks {
    pub fn is_empty(&self) -> bool {
        *self == Hooks::default()
    }

    pub fn over(self, under: Hooks) -> Hooks {
        Hooks { timeout: self.timeout.or(under.timeout) }
    }
}

impl Policy {
    /// The time limit of each hook, and the setting if it is not the default.
    pub fn hooks_timeout(&self) -> (Seconds, Option<Setting>) {
        let found = self.uppermost(|fragment| fragment.hooks.timeout);
        let setting = found.as_ref().map(|found| found.setting("hooks.timeout"));
        (found.map_or(Phase::Hooks.seconds(), |found| found.value), setting)
    }
}
