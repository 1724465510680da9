//! The agent keeps itself: after the first run, every boot runs it again, with the same flags.

use std::path::{Path, PathBuf};

use super::records::{has_served, instance};
use super::steps::Steps;
use crate::facts::Facts;
use crate::observe::{NextBoot, Selection};
use crate::plan::Action;
use crate::plan::layout;

const UNIT: &str = include_str!("../../units/bootagent.service");
const UNITS: &str = "/etc/systemd/system";

const NAME: &str = "bootagent.service";

/// Which of the unit's two parts an operator lets stand.
enum Wish {
    Enabled,
    /// It was enabled on this instance, and is not any more: the link is not made again.
    Disabled,
    Masked,
}

fn wish(facts: &Facts) -> Wish {
    // Before a generation was put to run, the link may be missing because a run was killed before it made one.
    let was_enabled =
        facts.attempted.values().any(|attempt| attempt.instance == instance(facts)) || has_served(facts);
    match &facts.operator {
        operator if operator.masked.contains(NAME) => Wish::Masked,
        operator if operator.agent_disabled && was_enabled => Wish::Disabled,
        _ => Wish::Enabled,
    }
}

pub fn persist(steps: &mut Steps, facts: &Facts, next_boot: Option<&NextBoot>) {
    let Some(next) = next_boot else { return };
    let program = PathBuf::from("/usr/local/bin/bootagent");
    if !next.installed {
        steps.add("agent", "the next boot needs it, too", Action::InstallAgent { path: program });
    }
    let wish = wish(facts);
    if matches!(wish, Wish::Masked) {
        return;
    }
    let unit = Path::new(UNITS).join(NAME);
    steps.file("agent-unit", "runs bootagent at every boot", unit, UNIT.to_owned(), 0o644);
    if matches!(wish, Wish::Disabled) {
        return;
    }
    let wanted = Path::new(UNITS).join("multi-user.target.wants").join(NAME);
    steps
        .link("agent-enable", "enabled for every boot", wanted, "../bootagent.service".into())
        .after(&["agent-unit"]);
}

/// An operator who took bootagent.service out of the boot is told what that means, and is not overruled.
pub fn note(facts: &Facts, selection: &Selection) -> Option<String> {
    selection.next_boot.as_ref()?;
    let (how, remedy) = match wish(facts) {
        Wish::Enabled => return None,
        Wish::Disabled => ("disabled", "systemctl enable"),
        Wish::Masked => ("masked", "systemctl unmask"),
    };
    Some(format!(
        "{NAME} is {how}, and stays so: nothing starts the service at the next boot ({remedy} {NAME} ends that)"
    ))
}

/// Until a generation passed, flags are recorded at once, so that a reboot can go on with them. Those of later
/// runs only when they proved themselves: a wrong one must not outlive its run.
pub fn record_flags(steps: &mut Steps, next_boot: Option<&NextBoot>, after: &str) {
    let Some((next, flags)) = next_boot.and_then(|next| Some((next, next.flags.clone()?))) else { return };
    let why = "this run's flags, for the next boot of this instance";
    let path = layout::recorded_flags(&next.instance);
    steps.file("agent-flags", why, path, flags, 0o600).after(&["instance", after]);
}
