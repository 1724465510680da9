//! What a failed run does at its end.

use super::steps::Steps;
use super::{Wanted, good, handover, record};
use crate::facts::Generation;
use crate::plan::layout::Layout;
use crate::plan::{Action, Gate, Step};

/// After a failure: back to the last good generation if there is another one; without any, nothing
/// is left running that did not pass. The wanted generation itself, if it passed before, stays:
/// systemd goes on trying, and the status tells.
pub fn recover(wanted: &Wanted, generation: &Generation, gate: &Gate, layout: &Layout) -> Vec<Step> {
    let mut steps = Steps::default();
    let discard = Action::DiscardUnfinished {
        release: generation.release.clone(),
        record: record(&generation.release, layout),
    };
    steps.add("discard", "a release that was not finished is of no use", discard).within(120);
    match good(wanted) {
        None => {
            let stop = Action::StopUnit { unit: layout.unit() };
            steps.add("stop", "nothing runs that did not pass the gate", stop).within(120);
        }
        Some(good) if good != generation => {
            let why = "the last good generation";
            steps.file("unit-back", why, layout.unit_file(), good.unit.clone(), 0o644);
            steps
                .add("reload-back", why, Action::ReloadUnit { unit: layout.unit() })
                .after(&["unit-back"])
                .within(60);
            steps.link("switch-back", why, layout.current(), good.release.clone()).after(&["reload-back"]);
            steps
                .add("start-back", why, Action::Handover(handover(layout)))
                .after(&["switch-back"])
                .within(120);
            steps
                .add("gate-back", "it serves again", Action::AwaitHealth(gate.clone()))
                .after(&["start-back"])
                .within(gate.within.0 + gate.soak.0 + 10);
        }
        Some(_) => {}
    }
    steps.finish()
}
