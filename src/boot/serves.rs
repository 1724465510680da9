//! Whether a generation is what serves: it runs from its own files, and its health check passes.

use crate::error::Result;
use crate::facts::{self, Generation};
use crate::machine::{Check, Health, Observe};
use crate::planner;

/// A good answer is this generation's only if what runs was started from it, in this boot.
pub async fn serves(
    machine: &impl Observe,
    service: &facts::Service,
    generation: &Generation,
) -> Result<Health> {
    match running(machine, service, generation).await? {
        Some(how) => Ok(Health::Unwell(how)),
        None => machine.probe(&generation.gate).await,
    }
}

/// In what the machine differs from one that runs this generation.
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
