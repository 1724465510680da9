//! The goal of `bootagent bake`: the release is built on the machine of which an image is made, nothing is started, and
//! bootagent is enabled for every boot of the image's instances. Nothing is recorded for this instance.

use super::prepare;
use crate::error::Result;
use crate::plan::Plan;
use crate::planner::draft::Draft;
use crate::planner::{agent, baked};

pub fn bake(draft: &Draft) -> Result<Plan> {
    let mut steps = prepare::release(draft)?;
    baked::record(&mut steps, draft)?;
    // Last: a machine on which the bake was interrupted must not deploy the service at its next boot.
    agent::enable(&mut steps, draft.wanted.facts, "baked");
    Ok(prepare::whole(draft, steps, prepare::discard(draft).finish()))
}
