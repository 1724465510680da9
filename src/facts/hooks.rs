//! The operator's hooks: programs below `/etc/bootagent/hooks` that root runs at fixed points of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPhase {
    /// Before the release is checked out; only in a run that builds a release.
    BeforeInstall,
    /// Before anything of the serving deployment is replaced.
    BeforeStart,
    /// After the health check.
    AfterHealthy,
    /// After a failed run has gone back to what served.
    AfterFailure,
}

impl HookPhase {
    pub const ALL: [HookPhase; 4] =
        [HookPhase::BeforeInstall, HookPhase::BeforeStart, HookPhase::AfterHealthy, HookPhase::AfterFailure];

    /// The phase's name; its directory is called NAME.d.
    pub fn name(self) -> &'static str {
        match self {
            HookPhase::BeforeInstall => "before-install",
            HookPhase::BeforeStart => "before-start",
            HookPhase::AfterHealthy => "after-healthy",
            HookPhase::AfterFailure => "after-failure",
        }
    }
}

impl fmt::Display for HookPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hooks of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// The programs of each phase, in the order in which they run. Paths without symbolic links.
    pub programs: BTreeMap<HookPhase, Vec<PathBuf>>,
    /// Why the directory cannot be used: users other than root can change a part of it, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Hooks {
    pub fn is_empty(&self) -> bool {
        *self == Hooks::default()
    }

    pub fn of(&self, phase: HookPhase) -> &[PathBuf] {
        self.programs.get(&phase).map_or(&[], Vec::as_slice)
    }
}
