//! What a failed run does at its end, and what it may do once more before that.

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

/// After a failure: back to the last healthy deployment, whole, which may be the wanted one itself: after a
/// reboot it does not run yet, and whatever failed need not keep it down. Without any, nothing is left
/// running that did not pass.
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
    steps.add("discard", "a release that was not finished is of no use", discard).within(Phase::Tidy);
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
        let why = "the release that passed before, if nothing could be built in its place";
        steps.add("bring-back", why, back).after(&["discard"]).within(Phase::Tidy);
        ready.push("bring-back".to_owned());
    }
    match (another(wanted, generation, rendering), good(wanted)) {
        (Some(former), _) => {
            let environment = environment(wanted, former, generation, rendering);
            ready.extend(fallback::remove_files(&mut steps, &generation.runs_by, &former.runs_by, &[]));
            fallback::start(&mut steps, former, environment.as_ref(), &ready, layout);
            let over = if has_candidate {
                &["health-check-back", "candidate-back"][..]
            } else {
                &["health-check-back"]
            };
            let prune = Action::PruneReleases(prune(wanted, former, layout));
            let why = "failed attempts do not pile up";
            steps.add("prune-back", why, prune).after(over).within(Phase::Tidy);
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

/// The environment that passed in this boot. After a reboot there is none: then by the release's own record, with the
/// values of today, or that of the same commit.
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

/// The last good generation, if it is another than the wanted one: another release, or other values.
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

/// What the wanted deployment is to the one that passed last.
pub fn compared(
    wanted: &Wanted,
    generation: &Generation,
    rendering: &Rendering,
    variables: &Variables,
) -> Compared {
    let Some(good) = good(wanted).map(|good| &good.generation) else { return Compared::First };
    let same_code = good.release == generation.release && good.runs_by == generation.runs_by;
    match wanted.good_environment {
        // The port may be one of the values, and with it the health check's.
        Some(former) if same_code && !former.has_same_texts(rendering) => Compared::OtherValues {
            keys: env::changed_keys(variables, former.service().expose()),
            secret: wanted.selection.secret.clone(),
        },
        _ if good == generation => Compared::Same,
        _ => Compared::Other,
    }
}

/// A release that passed before, and did not in this boot yet: should it fail, its files may be the reason.
fn may_rebuild(wanted: &Wanted, generation: &Generation) -> bool {
    let passed = good(wanted).is_some_and(|good| good.generation.release == generation.release);
    passed && wanted.good_environment.is_none() && wanted.facts.instance.is_some()
}

/// What is done before that release is built once more: once for each boot.
pub fn rebuild(wanted: &Wanted, generation: &Generation, layout: &Layout) -> Vec<Step> {
    let mut steps = Steps::default();
    if may_rebuild(wanted, generation) {
        let why = "once for each boot";
        let text = format!("{}\n", generation.release.display());
        steps.file("rebuilt", why, layout.rebuilt(), text, 0o600);
        let stop = Action::StopUnit { unit: layout.unit(), scratch: Vec::new() };
        steps.add("stop-unit", "it runs from that release", stop).after(&["rebuilt"]).within(Phase::Tidy);
        let set_aside = Action::SetAside(aside(generation, layout));
        let why = "it comes back if nothing can be built in its place";
        steps.add("set-aside", why, set_aside).after(&["stop-unit"]).within(Phase::Tidy);
    }
    steps.finish()
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
