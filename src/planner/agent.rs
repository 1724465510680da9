//! Steps that install bootagent itself, so that each boot runs it again with the same flags.

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

/// What an operator did with bootagent.service. A run does not undo it.
enum UnitState {
    Enabled,
    /// An earlier run enabled it on this instance, and it is not enabled now.
    Disabled,
    Masked,
}

fn unit_state(facts: &Facts) -> UnitState {
    // On an instance that never started a deployment, an operator need not have disabled it: a run may have been killed
    // before it enabled the unit.
    let was_enabled =
        facts.attempted.values().any(|attempt| attempt.instance == instance(facts)) || has_served(facts);
    match &facts.operator {
        operator if operator.masked.contains(NAME) => UnitState::Masked,
        operator if operator.agent_disabled && was_enabled => UnitState::Disabled,
        _ => UnitState::Enabled,
    }
}

pub fn persist(steps: &mut Steps, facts: &Facts, next_boot: Option<&NextBoot>) {
    let Some(next) = next_boot else { return };
    install(steps, facts, next.installed, &[]);
}

/// The same for an image: each boot of its instances runs bootagent.
pub fn enable(steps: &mut Steps, facts: &Facts, after: &str) {
    install(steps, facts, facts.installed, &[after]);
}

fn install(steps: &mut Steps, facts: &Facts, is_installed: bool, after: &[&str]) {
    let program = PathBuf::from("/usr/local/bin/bootagent");
    if !is_installed {
        steps.add("agent", "the next boot runs it", Action::InstallAgent { path: program }).after(after);
    }
    let state = unit_state(facts);
    if matches!(state, UnitState::Masked) {
        return;
    }
    let unit = Path::new(UNITS).join(NAME);
    steps.file("agent-unit", "runs bootagent at every boot", unit, UNIT.to_owned(), 0o644).after(after);
    if matches!(state, UnitState::Disabled) {
        return;
    }
    let wanted = Path::new(UNITS).join("multi-user.target.wants").join(NAME);
    steps
        .link("agent-enable", "enabled for every boot", wanted, "../bootagent.service".into())
        .after(&["agent-unit"]);
}

/// A note if an operator disabled or masked bootagent.service.
pub fn note(facts: &Facts, selection: &Selection) -> Option<String> {
    selection.next_boot.as_ref()?;
    let (how, remedy) = match unit_state(facts) {
        UnitState::Enabled => return None,
        UnitState::Disabled => ("disabled", "systemctl enable"),
        UnitState::Masked => ("masked", "systemctl unmask"),
    };
    Some(format!(
        "{NAME} is {how}, and no run enables it: the next boot does not start the service, until {remedy} {NAME}"
    ))
}

/// `after`: before the first healthy deployment, a step at the beginning, so that a reboot continues with the flags.
/// Later the health check, so that a wrong flag is not used by the next boot.
pub fn record_flags(steps: &mut Steps, next_boot: Option<&NextBoot>, after: &str) {
    let Some((next, flags)) = next_boot.and_then(|next| Some((next, next.flags.clone()?))) else { return };
    let why = "this run's flags, for the next boot of this instance";
    let path = layout::recorded_flags(&next.instance);
    steps.file("agent-flags", why, path, flags, 0o600).after(&["instance", after]);
}
