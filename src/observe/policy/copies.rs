//! The table `[origins]`: the copies of a repository from which a commit is read while its git server cannot be reached.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::fault::Phase;
use crate::plan::{Seconds, Setting};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    /// The address of a second git server's repository, with placeholders.
    pub mirror: Option<String>,
    /// Name of the secret with the git credential for the mirror.
    pub mirror_credential: Option<String>,
    /// What instances do with bundles in the fleet memory. Without it, nothing.
    pub bundles: Option<Bundles>,
    /// A directory of the image with `SERVICE/ENVIRONMENT.bundle`.
    pub directory: Option<String>,
    /// How long one origin is asked, if there is another one.
    pub wait: Option<Seconds>,
}

/// What instances do with the bundles of the fleet memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bundles {
    /// They read them; an operator writes them.
    Read,
    /// The first instance that is healthy with a commit also writes its bundle.
    Write,
}

impl Bundles {
    pub(super) fn name(self) -> &'static str {
        match self {
            Bundles::Read => "read",
            Bundles::Write => "write",
        }
    }
}

/// Seconds. A shorter wait would take a busy server for an outage.
const WAIT: std::ops::RangeInclusive<u64> = 5..=300;

impl Copies {
    pub fn is_empty(&self) -> bool {
        *self == Copies::default()
    }

    pub fn over(self, under: Copies) -> Copies {
        Copies {
            mirror: self.mirror.or(under.mirror),
            mirror_credential: self.mirror_credential.or(under.mirror_credential),
            bundles: self.bundles.or(under.bundles),
            directory: self.directory.or(under.directory),
            wait: self.wait.or(under.wait),
        }
    }

    /// `has_fleet`: whether the same layer names a fleet memory.
    pub fn check(&self, has_fleet: bool) -> Result<(), String> {
        if self.mirror_credential.is_some() && self.mirror.is_none() {
            return Err("origins.mirror_credential is set without origins.mirror".to_owned());
        }
        if self.bundles.is_some() && !has_fleet {
            return Err("origins.bundles is set without fleet.prefix".to_owned());
        }
        if self.directory.as_deref().is_some_and(|directory| !is_directory(directory)) {
            return Err("origins.directory is not an absolute path without \"..\"".to_owned());
        }
        match self.wait {
            Some(wait) if !WAIT.contains(&wait.0) => {
                Err(format!("origins.wait is {wait}: expected 5 s to 5 min"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether it can be bound into a unit: systemd splits at spaces and colons.
pub(super) fn is_directory(text: &str) -> bool {
    let plain =
        |part: &str| part != ".." && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
    Path::new(text).is_absolute() && text.len() < 200 && text.split('/').all(plain)
}

/// The table's values for one service and environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiesWanted {
    pub mirror: Option<String>,
    /// The name of the secret with the mirror's credential.
    pub mirror_credential: Option<String>,
    pub bundles: Option<Bundles>,
    /// The bundle of the image.
    pub image: Option<PathBuf>,
    pub wait: Seconds,
}

impl CopiesWanted {
    pub fn writes_bundles(&self) -> bool {
        self.bundles == Some(Bundles::Write)
    }
}

impl Default for CopiesWanted {
    fn default() -> Self {
        CopiesWanted {
            mirror: None,
            mirror_credential: None,
            bundles: None,
            image: None,
            wait: Phase::Origin.seconds(),
        }
    }
}

impl Policy {
    /// `fill` replaces the placeholders.
    pub fn copies(
        &self,
        service: &str,
        environment: &str,
        fill: impl Fn(&str) -> String,
    ) -> (CopiesWanted, Vec<Setting>) {
        let text = |read: fn(&Copies) -> Option<String>| self.uppermost(|fragment| read(&fragment.origins));
        let mirror = text(|copies| copies.mirror.clone()).map(|found| found.map(|text| fill(&text)));
        let credential = text(|copies| copies.mirror_credential.clone());
        let credential = credential.map(|found| found.map(|text| fill(&text)));
        let bundles = self.uppermost(|fragment| fragment.origins.bundles);
        let directory = text(|copies| copies.directory.clone());
        let wait = self.uppermost(|fragment| fragment.origins.wait);
        let settings = [
            mirror.as_ref().map(|found| found.setting("origins.mirror")),
            credential.as_ref().map(|found| found.setting("origins.mirror_credential")),
            bundles.clone().map(|found| found.map(Bundles::name).setting("origins.bundles")),
            directory.as_ref().map(|found| found.setting("origins.directory")),
            wait.as_ref().map(|found| found.setting("origins.wait")),
        ];
        let bundle =
            |directory: String| Path::new(&directory).join(service).join(format!("{environment}.bundle"));
        let wanted = CopiesWanted {
            mirror: mirror.map(|found| found.value),
            mirror_credential: credential.map(|found| found.value),
            bundles: bundles.map(|found| found.value),
            image: directory.map(|found| bundle(found.value)),
            wait: wait.map_or(Phase::Origin.seconds(), |found| found.value),
        };
        (wanted, settings.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, has_fleet: bool) -> Result<(), String> {
        toml::from_str::<Copies>(text).map_err(|error| error.to_string())?.check(has_fleet)
    }

    #[test]
    fn copies_are_accepted() {
        for good in [
            "",
            "mirror = 'https://git.acme.test/{service}.git'\nmirror_credential = 'mirror'",
            "bundles = 'write'\nwait = '30s'",
            "directory = '/usr/share/bootagent/bundles'",
        ] {
            assert_eq!(check(good, true), Ok(()), "{good}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for (bad, says) in [
            ("mirror_credential = 'x'", "without origins.mirror"),
            ("bundles = 'write'", "without fleet.prefix"),
            ("bundles = 'always'", "bundles"),
            ("directory = 'bundles'", "origins.directory"),
            ("directory = '/usr/../tmp'", "origins.directory"),
            ("directory = '/srv/x:/etc'", "origins.directory"),
            ("directory = '/srv/a b'", "origins.directory"),
            ("wait = '1s'", "origins.wait"),
            ("wait = '1h'", "origins.wait"),
        ] {
            let cause = check(bad, false).unwrap_err();
            assert!(cause.contains(says), "{bad}: {cause}");
        }
    }
}
