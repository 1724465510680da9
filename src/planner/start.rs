//! Steps that switch to the new deployment and start it: unit, files, release, start, health check.

use super::compared::another;
use super::draft::Draft;
use super::running::ensure_running;
use super::steps::Steps;
use super::{
    accounts, before_serving, beside, fallback, health, image, process_units, records, remember, switch,
    unset,
};
use crate::error::Result;
use crate::fault::Phase;
use crate::plan::environment::MADE;
use crate::plan::*;

/// Replaces the unit and its files, switches `current` to the new release, starts it, and awaits its health.
pub fn start(steps: &mut Steps, draft: &Draft, homes: Vec<StepId>) -> Result<()> {
    let Draft { wanted, generation, layout, .. } = draft;
    let prepared = before_serving(steps);
    let text = generation.runs_by.unit.clone();
    steps.file("unit", "how systemd runs the service", layout.unit_file(), text, 0o644).after(&[prepared]);
    let mut files = vec![StepId::new("unit")];
    for file in &generation.runs_by.files {
        steps.file(&file.name, &file.why, file.path.clone(), file.text.clone(), 0o644).after(&[prepared]);
        files.push(StepId::new(&file.name));
    }
    if let Some(good) = records::good(wanted) {
        let removed =
            fallback::remove_files(steps, &good.generation.runs_by, &generation.runs_by, &[prepared]);
        files.extend(removed.into_iter().map(StepId::new));
    }
    let beside = generation.runs_by.beside.as_slice();
    let written = beside::write(steps, beside, "", &[prepared]);
    steps
        .add("reload", "systemd reads the unit", Action::ReloadUnit { unit: layout.unit() })
        .needing(files)
        .within(Phase::Reload);
    let made = MADE.iter().filter(|file| draft.rendering.text(file).is_some()).map(|file| file.step);
    let ready = [prepared, "reload", "environment", "dotenv", "data"];
    let ready: Vec<&str> = ready.into_iter().chain(made).chain(written.iter().map(StepId::as_str)).collect();
    remember::attempt(steps, draft, &ready)?;
    steps
        .link("switch", "the release becomes the current one", layout.current(), generation.release.clone())
        .after(&["attempt"])
        .marks(Mark::Switched)
        .needing(homes)
        .needing(
            accounts::persistent(wanted.manifest, &draft.recipe).map(|(id, _)| StepId::new(id)).collect(),
        );
    let mut stopped = switch::stop_former(steps, wanted.facts, &wanted.selection.service);
    let good = records::good(wanted).map(|good| &good.generation);
    stopped
        .extend(good.and_then(|good| image::stop_container(steps, (good, generation), &["switch"], layout)));
    let former = good.map(|good| &good.runs_by);
    if let Some(former) = former {
        stopped.extend(beside::remove(steps, former, &generation.runs_by, &["switch"]));
    }
    let known = process_units::known(wanted.facts, &wanted.selection.service, former);
    stopped.extend(process_units::stop_others(steps, &known, generation, &["switch"]));
    steps
        .add(
            "start",
            "started if it is down, restarted only if what it depends on changed",
            Action::EnsureRunning(ensure_running(&generation.runs_by, layout)),
        )
        .after(&["switch"])
        .needing(stopped)
        .within(Phase::Start)
        .marks(Mark::Started);
    let started = beside::start(steps, beside, "", "start", &written);
    let why = "the run succeeds only if the service is healthy";
    let switched_from = switch::former_generation(wanted.facts, &wanted.selection.service);
    let can_go_back = another(draft).or(switched_from).is_some();
    let wait = HealthWait {
        unset: unset::of(wanted.source, &draft.variables),
        guess: draft.recipe.guess.clone(),
        ..health::wait(wanted, generation, layout, can_go_back)
    };
    health::await_health(steps, "health-check", why, wait)
        .after(&["start"])
        .needing(started)
        .marks(Mark::Passed);
    Ok(())
}
