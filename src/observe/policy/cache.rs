//! The table `[cache]`: finished releases that an instance may take in place of building them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Policy;
use super::copies::{Bundles, is_directory};
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// What instances do with releases in the fleet memory. Without it, nothing.
    pub releases: Option<Bundles>,
    /// Name of the secret with the key that authenticates them, with placeholders.
    pub secret: Option<String>,
    /// A directory of the image with releases.
    pub directory: Option<String>,
}

impl Cache {
    pub fn is_empty(&self) -> bool {
        *self == Cache::default()
    }

    pub fn over(self, under: Cache) -> Cache {
        Cache {
            releases: self.releases.or(under.releases),
            secret: self.secret.or(under.secret),
            directory: self.directory.or(under.directory),
        }
    }

    /// `has_fleet`: whether the same layer names a fleet memory.
    pub fn check(&self, has_fleet: bool) -> Result<(), String> {
        if self.releases.is_some() != self.secret.is_some() {
            return Err("cache.releases and cache.secret are set without each other".to_owned());
        }
        if self.releases.is_some() && !has_fleet {
            return Err("cache.releases is set without fleet.prefix".to_owned());
        }
        match self.directory.as_deref().is_some_and(|directory| !is_directory(directory)) {
            true => Err("cache.directory is not an absolute path without \"..\"".to_owned()),
            false => Ok(()),
        }
    }
}

/// The table's values for one service and environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheWanted {
    pub releases: Option<Bundles>,
    pub secret: Option<String>,
    pub directory: Option<PathBuf>,
}

impl CacheWanted {
    /// Whether instances write the releases that they build.
    pub fn writes(&self) -> bool {
        self.releases == Some(Bundles::Write)
    }
}

impl Policy {
    /// `fill` replaces the placeholders.
    pub fn cache(&self, fill: impl Fn(&str) -> String) -> (CacheWanted, Vec<Setting>) {
        let releases = self.uppermost(|fragment| fragment.cache.releases);
        let secret = self.uppermost(|fragment| fragment.cache.secret.clone());
        let secret = secret.map(|found| found.map(|text| fill(&text)));
        let directory = self.uppermost(|fragment| fragment.cache.directory.clone());
        let settings = [
            releases.clone().map(|found| found.map(Bundles::name).setting("cache.releases")),
            secret.as_ref().map(|found| found.setting("cache.secret")),
            directory.as_ref().map(|found| found.setting("cache.directory")),
        ];
        let wanted = CacheWanted {
            releases: releases.map(|found| found.value),
            secret: secret.map(|found| found.value),
            directory: directory.map(|found| found.value.into()),
        };
        (wanted, settings.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_need_a_key_and_a_fleet_memory() {
        let check = |text: &str, has_fleet| toml::from_str::<Cache>(text).unwrap().check(has_fleet);
        assert_eq!(check("", false), Ok(()));
        assert_eq!(check("directory = '/usr/share/releases'", false), Ok(()));
        assert_eq!(check("releases = 'write'\nsecret = 'key_{service}'", true), Ok(()));
        for (bad, has_fleet, says) in [
            ("releases = 'read'", true, "without each other"),
            ("secret = 'key'", true, "without each other"),
            ("releases = 'read'\nsecret = 'key'", false, "without fleet.prefix"),
            ("directory = 'releases'", true, "cache.directory"),
        ] {
            assert!(check(bad, has_fleet).unwrap_err().contains(says), "{bad}");
        }
    }
}
