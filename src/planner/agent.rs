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
    if let Some(flags) = &keep.flags {
        let why = "this run's flags, for the next boot of this instance";
        let path = layout::recorded_flags(&keep.instance);
        steps.file("agent-flags", why, path, flags.clone(), 0o600).after(&["instance"]);
    }
    let unit = Path::new(UNITS).join("bootagent.service");
    steps.file("agent-unit", "runs bootagent at every boot", unit, UNIT.to_owned(), 0o644);
    let wanted = Path::new(UNITS).join("multi-user.target.wants/bootagent.service");
    steps
        .link("agent-enable", "enabled for every boot", wanted, "../bootagent.service".into())
        .after(&["agent-unit"]);
}
