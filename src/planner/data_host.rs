//! The step that makes the first data of a database server. Adds steps only; `runtime/data_host` describes the servers.

use super::before_serving;
use super::draft::Draft;
use super::steps::Steps;
use crate::fault::Phase;
use crate::plan::Action;

/// Id of the step.
pub const FIRST_DATA: &str = "first-data";

/// Adds the step, before anything of the serving deployment is replaced.
pub fn initialize(steps: &mut Steps, draft: &Draft) {
    let Some(data) = &draft.service.first_data else { return };
    let prepared = before_serving(steps);
    let why = "the data directory with its first user, once; data that is there is kept";
    steps
        .add(FIRST_DATA, why, Action::InitializeData(data.clone()))
        .after(&[prepared, "run", "data"])
        .within(Phase::Migrate);
}
