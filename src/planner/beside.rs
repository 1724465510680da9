//! The steps of units that run beside the service's, such as its proxy: they come and go with the deployment, and stay as
//! they are if only the service changes.

use super::steps::Steps;
use crate::facts::{Companion, Supervised};
use crate::fault::Phase;
use crate::plan::{Action, EnsureRunning, StepId, layout};

/// Writes files and units. Returns the ids for which the switch and the starts wait.
pub fn write(steps: &mut Steps, companions: &[Companion], suffix: &str, after: &[&str]) -> Vec<StepId> {
    let mut ids = Vec::new();
    for Companion { name, why, unit, text, files } in companions {
        let mut written = vec![format!("{name}-unit{suffix}")];
        steps.file(&written[0], why, layout::unit_file(unit), text.clone(), 0o644).after(after);
        for file in files {
            let id = format!("{}{suffix}", file.name);
            steps.file(&id, &file.why, file.path.clone(), file.text.clone(), 0o644).after(after);
            written.push(id);
        }
        let id = format!("{name}-reload{suffix}");
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        let reload = Action::ReloadUnit { unit: unit.clone() };
        steps.add(&id, "systemd reads the unit", reload).after(&written).within(Phase::Reload);
        ids.push(StepId::new(id));
    }
    ids
}

/// Starts or reloads the units, after the service: one of them may get the port that it had before. Returns the ids.
pub fn start(
    steps: &mut Steps,
    companions: &[Companion],
    suffix: &str,
    after: &str,
    written: &[StepId],
) -> Vec<StepId> {
    let start = |companion: &Companion| {
        let id = format!("{}-start{suffix}", companion.name);
        let mut step = steps.add(&id, &companion.why, Action::EnsureRunning(ensure_running(companion)));
        step.after(&[after]).needing(written.to_vec()).within(Phase::Start);
        StepId::new(id)
    };
    companions.iter().map(start).collect()
}

/// Starts the unit, or reloads it if only its files have changed.
pub fn ensure_running(companion: &Companion) -> EnsureRunning {
    let files: Vec<_> = companion.files.iter().map(|file| file.path.clone()).collect();
    let unit = [layout::unit_file(&companion.unit)];
    EnsureRunning {
        unit: companion.unit.clone(),
        inputs: unit.into_iter().chain(files.iter().cloned()).collect(),
        reloads: files,
        beside: Vec::new(),
        record: layout::started_from(&companion.unit),
    }
}

/// Stops the `old` deployment's units that the `new` one does not have, and removes their files. Returns the ids.
pub fn remove(steps: &mut Steps, old: &Supervised, new: &Supervised, after: &[&str]) -> Vec<StepId> {
    let stays = |one: &&Companion| new.beside.iter().any(|other| other.unit == one.unit);
    let gone = old.beside.iter().filter(|one| !stays(one));
    let why = "a unit of the other deployment, which this one does not have";
    gone.map(|one| stop(steps, one, &format!("remove-{}", one.name), why, after, true)).collect()
}

/// Stops the units. Their files stay: with them they can be started again.
pub fn stop_all(steps: &mut Steps, of: &Supervised, suffix: &str, after: &[&str]) -> Vec<StepId> {
    let why = "it ran beside the service";
    let stop = |one| stop(steps, one, &format!("stop-{}{suffix}", one.name), why, after, false);
    of.beside.iter().map(stop).collect()
}

fn stop(steps: &mut Steps, one: &Companion, id: &str, why: &str, after: &[&str], removes: bool) -> StepId {
    let files = one.files.iter().map(|file| file.path.clone());
    let all = [layout::unit_file(&one.unit), layout::started_from(&one.unit)].into_iter().chain(files);
    let scratch = if removes { all.collect() } else { Vec::new() };
    let action = Action::StopUnit { unit: one.unit.clone(), scratch };
    steps.add(id, why, action).after(after).within(Phase::Tidy);
    StepId::new(id)
}
