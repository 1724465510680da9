//! Whether a manifest may ask for packages of the distribution.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::fault::Phase;
use crate::plan::{Seconds, Setting};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    pub allow: Option<bool>,
    /// How long a locked dpkg is waited for.
    pub wait: Option<Seconds>,
}

impl Packages {
    pub fn is_empty(&self) -> bool {
        *self == Packages::default()
    }

    pub fn over(self, under: Packages) -> Packages {
        Packages { allow: self.allow.or(under.allow), wait: self.wait.or(under.wait) }
    }
}

/// What the policy says of the distribution's packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagesAllowed {
    pub allowed: bool,
    pub wait: Seconds,
}

impl Default for PackagesAllowed {
    fn default() -> Self {
        PackagesAllowed { allowed: true, wait: Phase::Lock.seconds() }
    }
}

impl Policy {
    /// And those of its settings that are set.
    pub fn packages(&self) -> (PackagesAllowed, Vec<Setting>) {
        let default = PackagesAllowed::default();
        let allow = self.said(|fragment| fragment.packages.allow);
        let wait = self.said(|fragment| fragment.packages.wait);
        let settings = [
            allow.as_ref().map(|said| said.setting("packages.allow")),
            wait.as_ref().map(|said| said.setting("packages.wait")),
        ];
        let allowed = allow.map_or(default.allowed, |said| said.value);
        let wait = wait.map_or(default.wait, |said| said.value);
        (PackagesAllowed { allowed, wait }, settings.into_iter().flatten().collect())
    }
}
