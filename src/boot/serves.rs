//! Whether a deployment serves: its unit runs from the deployment's files, and a probe is good. Changes nothing.

use crate::error::Result;
use crate::facts::{self, Generation};
use crate::machine::{Check, Health, Observe};
use crate::planner;

/// The health of the deployment. A good answer counts only if the unit was started from its files.
pub async fn serves(
    machine: &impl Observe,
    service: &facts::Service,
    generation: &Generation,
) -> Result<Health> {
    match running(machine, service, generation).await? {
        Some(how) => Ok(Health::Unhealthy(how)),
        None => machine.probe(&generation.gate).await,
    }
}

/// How the machine differs from one that runs this deployment; `None` if it does not.
pub async fn running(
    machine: &impl Observe,
    service: &facts::Service,
    generation: &Generation,
) -> Result<Option<String>> {
    for action in planner::running(service, generation) {
        if let Check::WouldChange(how) = machine.check(&action).await? {
            return Ok(Some(how));
        }
    }
    Ok(None)
}
