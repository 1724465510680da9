//! The steps of a failed run: going back to the last healthy deployment, and before that, rebuilding a release that was
//! healthy before the boot.

use super::build::{aside, record};
use super::env;
use super::kept;
use super::records::good;
use super::remember::prune;
use super::steps::Steps;
use super::{Wanted, candidate, ensure_running, fallback, switch};
use crate::facts::{Generation, Service};
use crate::fault::Phase;
use crate::observe::secrets::Variables;
use crate::plan::layout::Layout;
use crate::plan::{Action, Compared, Rendering, Step};

/// The steps of a failed run. They remove an incomplete release and start the last healthy deployment. After a
/// reboot this may be the wanted one: it does not run yet, and the failed step need not affect it. If there is none,
/// the service is stopped.
pub fn recover(
    wanted: &Wanted,
    generation: &Generation,
    rendering: &Rendering,
    has_candidate: bool,
    layout: &Layout,
) -> Vec<Step> {
    let mut steps = Steps::default();
    if has_candidate {
        candidate::end(&mut steps, "candidate-back", layout);
    }
    let discard = Action::DiscardUnfinished {
        release: generation.release.clone(),
        record: record(&generation.release, layout),
    };
    steps.add("discard", "an incomplete release cannot be used", discard).within(Phase::Tidy);
    let (facts, service) = (wanted.facts, &wanted.selection.service);
    if switch::goes_back(facts, service) {
        switch::go_back(&mut steps, facts, service);
        return steps.finish();
    }
    let mut ready: Vec<String> = Vec::new();
    if switch::stop_unproven(&mut steps, facts, service) {
        ready.push("stop-unproven".to_owned());
    }
    if may_rebuild(wanted, generation) {
        let back = Action::BringBack(aside(generation, layout));
        let why = "the release that was healthy before, if it could not be rebuilt";
        steps.add("bring-back", why, back).after(&["discard"]).within(Phase::Tidy);
        ready.push("bring-back".to_owned());
    }
    match (another(wanted, generation, rendering), good(wanted)) {
        (Some(former), _) => {
            let environment = environment(wanted, former, generation, rendering);
            ready.extend(fallback::remove_files(&mut steps, &generation.runs_by, &former.runs_by, &[]));
            fallback::start(&mut steps, former, environment.as_ref(), &ready, layout);
            let done = if has_candidate {
                &["health-check-back", "candidate-back"][..]
            } else {
                &["health-check-back"]
            };
            let prune = Action::PruneReleases(prune(wanted, former, layout));
            let why = "removes the failed release";
            steps.add("prune-back", why, prune).after(done).within(Phase::Tidy);
        }
        (None, Some(good)) => {
            fallback::start(&mut steps, &good.generation, Some(rendering), &ready, layout);
        }
        (None, None) => {
            let stop = Action::StopUnit { unit: layout.unit(), scratch: Vec::new() };
            steps.add("stop", "stops what did not pass the health check", stop).within(Phase::Tidy);
        }
    }
    steps.finish()
}

/// The environment for the previous deployment: the copy that was healthy in this boot; after a reboot, the
/// environment of the release's record with the secret's present values; else the new one, if it is for the same
/// commit. `None` leaves the files as they are.
fn environment(
    wanted: &Wanted,
    former: &Generation,
    generation: &Generation,
    rendering: &Rendering,
) -> Option<Rendering> {
    let service = &wanted.selection.service;
    let recorded = || {
        let kept = kept::of(wanted.facts, service, former)?;
        let has_its_secret = kept.variables.secret.is_none() || wanted.secret.is_some();
        has_its_secret.then(|| kept::rendering(service, kept, wanted.secret).ok()).flatten()
    };
    let same = || (former.commit == generation.commit).then(|| rendering.clone());
    wanted.good_environment.cloned().or_else(recorded).or_else(same)
}

/// The last healthy deployment, if it differs from the wanted one in anything, values included.
pub fn another<'a>(
    wanted: &'a Wanted,
    generation: &Generation,
    rendering: &Rendering,
) -> Option<&'a Generation> {
    let good = &good(wanted)?.generation;
    (good != generation || has_other_values(wanted, rendering)).then_some(good)
}

fn has_other_values(wanted: &Wanted, rendering: &Rendering) -> bool {
    wanted.good_environment.is_some_and(|former| !former.has_same_texts(rendering))
}

/// How the wanted deployment differs from the last healthy one.
pub fn compared(
    wanted: &Wanted,
    generation: &Generation,
    rendering: &Rendering,
    variables: &Variables,
) -> Compared {
    let Some(good) = good(wanted).map(|good| &good.generation) else { return Compared::First };
    let same_code = good.release == generation.release && good.runs_by == generation.runs_by;
    match wanted.good_environment {
        // The health checks are not compared: PORT may be one of the values that differ.
        Some(former) if same_code && !former.has_same_texts(rendering) => Compared::OtherValues {
            keys: env::changed_keys(variables, former.service().expose()),
            secret: wanted.selection.secret.clone(),
        },
        _ if good == generation => Compared::Same,
        _ => Compared::Other,
    }
}

/// Whether the release was healthy before this boot, but not in it yet. If it fails now, its files may be damaged,
/// so that building it again may help.
fn may_rebuild(wanted: &Wanted, generation: &Generation) -> bool {
    let passed = good(wanted).is_some_and(|good| good.generation.release == generation.release);
    passed && wanted.good_environment.is_none() && wanted.facts.instance.is_some()
}

/// The steps before such a release is built again. A record limits that to once for each boot.
pub fn rebuild(wanted: &Wanted, generation: &Generation, layout: &Layout) -> Vec<Step> {
    let mut steps = Steps::default();
    if may_rebuild(wanted, generation) {
        let why = "records the rebuild: there is one for each boot";
        let text = format!("{}\n", generation.release.display());
        steps.file("rebuilt", why, layout.rebuilt(), text, 0o600);
        let stop = Action::StopUnit { unit: layout.unit(), scratch: Vec::new() };
        let why = "the service runs from that release";
        steps.add("stop-unit", why, stop).after(&["rebuilt"]).within(Phase::Tidy);
        let set_aside = Action::SetAside(aside(generation, layout));
        let why = "the recovery uses the release again if it cannot be rebuilt";
        steps.add("set-aside", why, set_aside).after(&["stop-unit"]).within(Phase::Tidy);
    }
    steps.finish()
}

/// The actions that have nothing to do if this deployment runs: `current` leads to its release, and the unit was
/// started from its files.
pub fn running(service: &Service, generation: &Generation) -> [Action; 2] {
    let layout = Layout::new(service);
    let (path, target) = (layout.current(), generation.release.clone());
    [
        Action::SwitchSymlink { path, target, displaces: false },
        Action::EnsureRunning(ensure_running(&generation.runs_by, &layout)),
    ]
}
