//! The flags of a run's command line, parsed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Fragment;
use crate::fault::BUDGET;
use crate::observe::Anew;
use crate::plan::Seconds;

/// The flags of this run.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub policy: Fragment,
    pub overrides: Overrides,
    pub dry_run: bool,
    /// Choose service, environment and commit again, instead of those that the instance is pinned to.
    pub update: bool,
    /// With `update`: a rollback, which chooses only the commit again.
    pub back: bool,
    /// Start a deployment again although it failed its health check in this boot.
    pub again: bool,
    /// Drop the flags that earlier runs recorded.
    pub forget: bool,
    /// `bootagent.service` started this run: systemd starts it again after a temporary failure.
    pub at_boot: bool,
    /// `bootagent bake`: the release becomes part of an image, and nothing is started or recorded for this instance.
    pub bake: bool,
}

impl Flags {
    pub fn anew(&self) -> Anew {
        match (self.update, self.back) {
            (true, true) => Anew::Commit,
            (update, _) => update.into(),
        }
    }

    /// The time limit until the policy is read.
    pub fn budget(&self) -> Seconds {
        self.policy.budget.unwrap_or(BUDGET)
    }
}

/// Files and tags in place of the instance's, for dry runs on a laptop.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub tags: BTreeMap<String, String>,
    pub manifest: Option<PathBuf>,
    pub env_file: Option<PathBuf>,
    pub facts: Option<PathBuf>,
    pub policy: Option<PathBuf>,
}

impl Overrides {
    /// The flag of the first one that is set, for an error.
    pub fn any(&self) -> Option<&'static str> {
        let given = [
            (!self.tags.is_empty(), "--tag"),
            (self.manifest.is_some(), "--manifest"),
            (self.env_file.is_some(), "--env-file"),
            (self.facts.is_some(), "--facts"),
            (self.policy.is_some(), "--policy"),
        ];
        given.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }
}
