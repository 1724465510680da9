//! The agent keeps itself: after the first run, every boot runs it again, with the same flags.

use std::path::{Path, PathBuf};

use super::steps::Steps;
use crate::observe::Selection;
use crate::plan::Action;
use crate::plan::layout;

const UNIT: &str = include_str!("../../units/bootagent.service");
const UNITS: &str = "/etc/systemd/system";

pub fn keep(steps: &mut Steps, selection: &Selection) {
    let Some(keep) = &selection.keep else { return };
    let program = PathBuf::from("/usr/local/bin/bootagent");
    if !keep.installed {
        steps.add("agent", "the next boot needs it, too", Action::InstallAgent { path: program });
    }
    let unit = Path::new(UNITS).join("bootagent.service");
    steps.file("agent-unit", "runs bootagent at every boot", unit, UNIT.to_owned(), 0o644);
    let wanted = Path::new(UNITS).join("multi-user.target.wants/bootagent.service");
    steps
        .link("agent-enable", "enabled for every boot", wanted, "../bootagent.service".into())
        .after(&["agent-unit"]);
}

/// Until a generation passed, flags are recorded at once, so that a reboot can go on with them. Those of later
/// runs only when they proved themselves: a wrong one must not outlive its run.
pub fn record_flags(steps: &mut Steps, selection: &Selection, after: &str) {
    let Some((keep, flags)) = selection.keep.as_ref().and_then(|keep| Some((keep, keep.flags.clone()?)))
    else {
        return;
    };
    let why = "this run's flags, for the next boot of this instance";
    let path = layout::recorded_flags(&keep.instance);
    steps.file("agent-flags", why, path, flags, 0o600).after(&["instance", after]);
}
