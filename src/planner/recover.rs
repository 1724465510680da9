//! What a failed run does at its end.

use super::build::record;
use super::remember::{good, prune};
use super::steps::Steps;
use super::{Wanted, handover, health, rehearsal};
use crate::facts::{Generation, Service};
use crate::fault::Slice;
use crate::observe::Rendering;
use crate::plan::layout::Layout;
use crate::plan::{Action, Owner, Step};

/// After a failure: back to the former generation, whole; without any good one, nothing is left running that did not pass. The wanted generation itself, if it passed before with
/// the very same environment, stays: systemd goes on trying, and the status tells.
pub fn recover(
    wanted: &Wanted,
    generation: &Generation,
    former: Option<&Generation>,
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
    match former {
        Some(former) => go_back(&mut steps, wanted, former, layout),
        None if good(wanted).is_some() => {}
        None => {
            let stop = Action::StopUnit { unit: layout.unit(), scratch: Vec::new() };
            steps.add("stop", "nothing runs that did not pass the gate", stop).within(Slice::Tidy);
        }
    }
    steps.finish()
}

/// Whether there is something else to go back to: another release, or other values.
fn is_another(wanted: &Wanted, good: &Generation, generation: &Generation, rendering: &Rendering) -> bool {
    good != generation || wanted.good_environment.is_some_and(|former| !former.says_the_same(rendering))
}

/// The generation that a recovery goes back to, if it goes back to one.
pub fn former(wanted: &Wanted, generation: &Generation, rendering: &Rendering) -> Option<Generation> {
    let good = &good(wanted)?.generation;
    is_another(wanted, good, generation, rendering).then(|| good.clone())
}

/// What must be so already if this generation is what runs: it is the current one, and the unit was
/// started from what is there.
pub fn running(service: &Service, generation: &Generation) -> [Action; 2] {
    let layout = Layout::new(service);
    let (path, target) = (layout.current(), generation.release.clone());
    [Action::SwitchSymlink { path, target, displaces: false }, Action::Handover(handover(&layout))]
}

fn go_back(steps: &mut Steps, wanted: &Wanted, good: &Generation, layout: &Layout) {
    let why = "the last good generation";
    let mut ready = vec!["reload-back"];
    if let Some(rendering) = wanted.good_environment {
        let text = rendering.service.clone();
        steps.sealed("environment-back", why, layout.environment(), text, Owner::root(), 0o600);
        ready.push("environment-back");
        if let Some(text) = rendering.dotenv.clone() {
            let owner = Owner::new("root", layout.user());
            steps.sealed("dotenv-back", why, layout.dotenv(), text, owner, 0o640);
            ready.push("dotenv-back");
        }
    }
    steps.file("unit-back", why, layout.unit_file(), good.unit.clone(), 0o644);
    let reload = Action::ReloadUnit { unit: layout.unit() };
    steps.add("reload-back", why, reload).after(&["unit-back"]).within(Slice::Reload);
    steps.link("switch-back", why, layout.current(), good.release.clone()).after(&ready);
    let mut over = vec!["gate-back"];
    if steps.has("rehearsal-back") {
        over.push("rehearsal-back");
    }
    let handover = Action::Handover(handover(layout));
    steps.add("start-back", why, handover).after(&["switch-back"]).within(Slice::Start);
    health::await_gate(steps, "gate-back", "it serves again", &good.gate).after(&["start-back"]);
    steps
        .add(
            "prune-back",
            "failed attempts do not pile up",
            Action::PruneReleases(prune(wanted, good, layout)),
        )
        .after(&over)
        .within(Slice::Tidy);
}
