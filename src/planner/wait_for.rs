//! The step that waits for what the service needs, such as its database (`wait_for` in the manifest).

use super::draft::Draft;
use super::steps::Steps;
use crate::fault::Phase;
use crate::plan::{Action, Seconds};

/// Adds the step, before anything of the serving deployment is changed and before a migration.
pub fn wait(steps: &mut Steps, draft: &Draft) {
    let addresses = draft.wanted.manifest.wait_for.clone();
    if addresses.is_empty() {
        return;
    }
    let within = Phase::WaitFor.seconds();
    let why = "wait_for in the manifest: the service needs them when it starts";
    // Longer than its tries, so that it ends with their last error.
    let most = Seconds(within.0 + 30);
    steps.add("wait-for", why, Action::AwaitAddresses { addresses, within }).after(&["finish"]).lasting(most);
}
