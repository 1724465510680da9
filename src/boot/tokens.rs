//! Reads the tokens for private registries, if a command of the plan will need them. A reboot of a complete release
//! needs none, so a secret that was removed meanwhile does no harm.

use super::identify::Identified;
use crate::error::Result;
use crate::machine::{Check, Observe, Tokens};
use crate::observe::{self, Flags};
use crate::plan::{Action, Plan, RegistryAccess};
use crate::report::Report;

pub async fn tokens(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    plan: &Plan,
    report: &Report,
) -> Result<Option<Tokens>> {
    let Some(access) = due(machine, plan).await? else { return Ok(None) };
    let Identified { policy, facts, selection, .. } = identified;
    let reading = observe::tokens(machine, access, (selection, facts), flags, policy);
    let what = format!("reading the install secret {}", access.secret);
    let read = report.during("install-secret", &what, reading).await;
    read.map(Some).map_err(|error| error.redacted(&plan.redaction))
}

async fn due<'a>(machine: &impl Observe, plan: &'a Plan) -> Result<Option<&'a RegistryAccess>> {
    for step in &plan.steps {
        if let Action::RunCommand(command) = &step.action
            && let Some(access) = &command.registries
            && machine.check(&step.action).await? != Check::AlreadySo
        {
            return Ok(Some(access));
        }
    }
    Ok(None)
}
