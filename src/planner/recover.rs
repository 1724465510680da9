//! What a failed run does at its end.

use super::build::record;
use super::remember::{good, prune};
use super::steps::Steps;
use super::{Wanted, handover, health, rehearsal, switch};
use crate::facts::{Generation, Service};
use crate::fault::Slice;
use crate::observe::Rendering;
use crate::plan::layout::Layout;
use crate::plan::{Action, Owner, Step};

/// After a failure: back to the last good generation, whole, which may be the wanted one itself: after a
/// reboot it does not run yet, and whatever failed need not keep it down. Without any, nothing is left
/// running that did not pass.
pub fn recover(
    wanted: &Wanted,
    generation: &Generation,
    rendering: &Rendering,
    rehearsed: bool,
    layout: &Layout,
) -> Vec<Step> {
    let mut steps = Steps::default();
    if rehearsed {
        rehearsal::end(&mut steps, "rehearsal-back", layout);
    }
    let discard = Action::DiscardUnfinished {
        release: generation.release.clone(),
        record: record(&generation.release, layout),
    };
    steps.add("discard", "a release that was not finished is of no use", discard).within(Slice::Tidy);
    if switch::former(wanted.facts, &wanted.selection.service).next().is_some() {
        switch::go_back(&mut steps, wanted.facts, &wanted.selection.service);
        return steps.finish();
    }
    match (another(wanted, generation, rendering), good(wanted)) {
        (Some(former), _) => {
            go_back(&mut steps, former, wanted.good_environment, layout);
            let over = if rehearsed { &["gate-back", "rehearsal-back"][..] } else { &["gate-back"] };
            let prune = Action::PruneReleases(prune(wanted, former, layout));
            let why = "failed attempts do not pile up";
            steps.add("prune-back", why, prune).after(over).within(Slice::Tidy);
        }
        (None, Some(good)) => go_back(&mut steps, &good.generation, Some(rendering), layout),
        (None, None) => {
            let stop = Action::StopUnit { unit: layout.unit(), scratch: Vec::new() };
            steps.add("stop", "nothing runs that did not pass the gate", stop).within(Slice::Tidy);
        }
    }
    steps.finish()
}

/// The last good generation, if it is another than the wanted one: another release, or other values.
pub fn another<'a>(
    wanted: &'a Wanted,
    generation: &Generation,
    rendering: &Rendering,
) -> Option<&'a Generation> {
    let good = &good(wanted)?.generation;
    let other_values = wanted.good_environment.is_some_and(|former| !former.says_the_same(rendering));
    (good != generation || other_values).then_some(good)
}

/// What must be so already if this generation is what runs: it is the current one, and the unit was
/// started from what is there.
pub fn running(service: &Service, generation: &Generation) -> [Action; 2] {
    let layout = Layout::new(service);
    let (path, target) = (layout.current(), generation.release.clone());
    [Action::SwitchSymlink { path, target, displaces: false }, Action::Handover(handover(&layout))]
}

fn go_back(steps: &mut Steps, good: &Generation, environment: Option<&Rendering>, layout: &Layout) {
    let why = "the last good generation";
    let mut ready = vec!["reload-back"];
    if let Some(rendering) = environment {
        let text = rendering.service.clone();
        steps.sealed("environment-back", why, layout.environment(), text, Owner::root(), 0o600);
        let (dotenv, owner) = (rendering.dotenv.clone(), Owner::new("root", layout.user()));
        steps.sealed_if_any("dotenv-back", why, layout.dotenv(), dotenv, owner, 0o640);
        ready.extend(["environment-back", "dotenv-back"]);
    }
    steps.file("unit-back", why, layout.unit_file(), good.unit.clone(), 0o644);
    let reload = Action::ReloadUnit { unit: layout.unit() };
    steps.add("reload-back", why, reload).after(&["unit-back"]).within(Slice::Reload);
    steps.link("switch-back", why, layout.current(), good.release.clone()).after(&ready);
    let handover = Action::Handover(handover(layout));
    steps.add("start-back", why, handover).after(&["switch-back"]).within(Slice::Start);
    health::await_gate(steps, "gate-back", "it serves again", &good.gate).after(&["start-back"]);
}
