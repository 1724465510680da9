//! The table `[packages]`: whether a manifest may install OS packages.

use serde::{Deserialize, Serialize};

use super::Policy;
use super::apt::AptRepositories;
use super::dnf::DnfRepositories;
use super::origin::Sourced;
use crate::fault::Phase;
use crate::plan::{Seconds, Setting};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    pub allow: Option<bool>,
    /// How long to wait for another process to release a lock of apt or dnf.
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

/// Whether OS packages may be installed, and how long to wait for another process that installs some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagesAllowed {
    pub allowed: bool,
    pub wait: Seconds,
    /// Signed repositories besides those of the distribution.
    pub apt: AptRepositories,
    pub dnf: DnfRepositories,
}

impl Default for PackagesAllowed {
    fn default() -> Self {
        PackagesAllowed {
            allowed: true,
            wait: Phase::Lock.seconds(),
            apt: Default::default(),
            dnf: Default::default(),
        }
    }
}

impl Policy {
    /// Whether dependencies must be locked. None if no layer says it.
    pub fn lockfile(&self) -> Option<Sourced<bool>> {
        self.uppermost(|fragment| fragment.lockfile)
    }

    /// The table's values, and the settings that are not defaults.
    pub fn packages(&self) -> (PackagesAllowed, Vec<Setting>) {
        let default = PackagesAllowed::default();
        let allow = self.uppermost(|fragment| fragment.packages.allow);
        let wait = self.uppermost(|fragment| fragment.packages.wait);
        let settings = [
            allow.as_ref().map(|found| found.setting("packages.allow")),
            wait.as_ref().map(|found| found.setting("packages.wait")),
        ];
        let allowed = allow.map_or(default.allowed, |found| found.value);
        let wait = wait.map_or(default.wait, |found| found.value);
        let ((apt, of_apt), (dnf, of_dnf)) = (self.apt(), self.dnf());
        let settings = settings.into_iter().flatten().chain(of_apt).chain(of_dnf);
        (PackagesAllowed { allowed, wait, apt, dnf }, settings.collect())
    }
}
