//! How a generation is started, and how it is seen that it runs.

use crate::facts::{Generation, Service, Supervised, Takes};
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning};

/// What makes up the service that runs, for the files of a generation.
pub fn ensure_running(runs_by: &Supervised, layout: &Layout) -> EnsureRunning {
    let mut inputs = vec![layout.unit_file(), layout.environment(), layout.current(), layout.data()];
    inputs.extend(runs_by.files.iter().map(|file| file.path.clone()));
    inputs.extend(runs_by.reads.iter().cloned());
    let reloads = match runs_by.takes {
        Takes::Restart => Vec::new(),
        Takes::Reload => vec![layout.current()],
    };
    EnsureRunning { unit: layout.unit(), inputs, reloads, record: layout.started_from() }
}

/// What must be so already if this generation is what runs: it is the current one, and the unit was
/// started from what is there.
pub fn running(service: &Service, generation: &Generation) -> [Action; 2] {
    let layout = Layout::new(service);
    let (path, target) = (layout.current(), generation.release.clone());
    [
        Action::SwitchSymlink { path, target, displaces: false },
        Action::EnsureRunning(ensure_running(&generation.runs_by, &layout)),
    ]
}
