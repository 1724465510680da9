//! The action that starts a deployment, and the actions that have nothing to do if it runs. Adds no steps.

use super::beside;
use crate::facts::{Generation, Service, Supervised, Takes};
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning};

/// Starts or restarts the service's unit, depending on all files, links and directories that a deployment consists of.
pub fn ensure_running(runs_by: &Supervised, layout: &Layout) -> EnsureRunning {
    let mut inputs = match runs_by.takes {
        Takes::RestartOfFiles => vec![layout.unit_file(), layout.data()],
        _ => vec![layout.unit_file(), layout.environment(), layout.current(), layout.data()],
    };
    inputs.extend(runs_by.files.iter().map(|file| file.path.clone()));
    inputs.extend(runs_by.reads.iter().cloned());
    let reloads = match runs_by.takes {
        Takes::Restart | Takes::RestartOfFiles => Vec::new(),
        Takes::Reload => vec![layout.current()],
        Takes::ReloadOfFiles => {
            // Another unit's file is read at its start.
            let files = runs_by.files.iter().filter(|file| file.unit().is_none());
            let files = files.map(|file| file.path.clone());
            [layout.current(), layout.environment()].into_iter().chain(files).collect()
        }
    };
    let beside = runs_by.started_beside().map(str::to_owned).collect();
    EnsureRunning { unit: layout.unit(), inputs, reloads, beside, record: layout.started_from() }
}

/// The actions that have nothing to do if this deployment runs: `current` leads to its release, and its units were
/// started from their files.
pub fn running(service: &Service, generation: &Generation) -> Vec<Action> {
    let layout = Layout::new(service);
    let (path, target) = (layout.current(), generation.release.clone());
    let own = [
        Action::SwitchSymlink { path, target, displaces: false },
        Action::EnsureRunning(ensure_running(&generation.runs_by, &layout)),
    ];
    let beside = generation.runs_by.beside.iter().map(beside::ensure_running);
    own.into_iter().chain(beside.map(Action::EnsureRunning)).collect()
}
