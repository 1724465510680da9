//! What a run was told on its command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Fragment;
use crate::fault::BUDGET;
use crate::observe::Anew;
use crate::plan::Seconds;

/// What this run was told on its command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub policy: Fragment,
    pub overrides: Overrides,
    pub dry_run: bool,
    /// Take a new commit instead of the one decided for this instance.
    pub update: bool,
    /// With `update`: take a new commit, and nothing else anew.
    pub back: bool,
    /// Put to run what failed its health check in this boot, too.
    pub again: bool,
    /// The flags that earlier runs recorded count no more.
    pub forget: bool,
    /// The agent's own unit runs it: systemd tries it again.
    pub at_boot: bool,
}

impl Flags {
    pub fn anew(&self) -> Anew {
        match (self.update, self.back) {
            (true, true) => Anew::Commit,
            (update, _) => update.into(),
        }
    }

    /// What counts until the policy is read.
    pub fn budget(&self) -> Seconds {
        self.policy.budget.unwrap_or(BUDGET)
    }
}

/// What stands in for the instance on a laptop. Dry runs only.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub tags: BTreeMap<String, String>,
    pub manifest: Option<PathBuf>,
    pub env_file: Option<PathBuf>,
    pub facts: Option<PathBuf>,
    pub policy: Option<PathBuf>,
}

impl Overrides {
    /// The first of them, by the name of its flag.
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
