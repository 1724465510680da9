//! The operator's hooks of one phase, as an action.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Seconds;
use crate::facts::HookPhase;

/// Programs of the operator, which root runs one after the other. The first failure ends the step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunHooks {
    pub phase: HookPhase,
    pub programs: Vec<PathBuf>,
    pub unit: String,
    /// All variables that a program gets.
    pub environment: BTreeMap<String, String>,
    /// The time limit of each program.
    pub timeout: Seconds,
    /// If this record exists, the release is complete and the hooks are skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_by: Option<PathBuf>,
}

impl RunHooks {
    pub fn headline(&self) -> String {
        let names: Vec<String> = self.programs.iter().map(|path| name(path)).collect();
        format!("run the operator's hooks {}: {}", self.phase, names.join(", "))
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let programs = self.programs.iter().map(|path| path.display().to_string());
        let first =
            format!("as root, without a sandbox and without secrets, for at most {} each", self.timeout);
        let skipped = self.done_by.as_ref().map(|_| "skipped if the release is complete".to_owned());
        let variables = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        [first].into_iter().chain(programs).chain(skipped).chain(variables).collect()
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
