//! Carries out a plan, and fetches the commit only now if the plan was made from a record.

use super::fetch::{checkout_is_due, fetch};
use super::identify::Identified;
use super::tokens::tokens;
use super::wanted::Planned;
use crate::apply;
use crate::error::Result;
use crate::machine::{Context, Host};
use crate::observe::Flags;
use crate::report::Report;

/// Carries out the plan. A pinned commit was planned from its record: if its release is missing, it is fetched only
/// here, after planning, so that the plan's recovery can run if the git server does not answer.
pub async fn carry_out(
    machine: &impl Host,
    flags: &Flags,
    identified: &Identified,
    planned: &Planned,
    report: &Report,
) -> Result<()> {
    let plan = &planned.plan;
    let fetched = match planned.scratch {
        None if checkout_is_due(machine, plan).await? => {
            let fetched = fetch(machine, flags, identified, report).await;
            fetched.map_err(|error| error.redacted(&plan.redaction))?.1
        }
        _ => None,
    };
    let tokens = tokens(machine, flags, identified, plan, report).await?;
    let scratch = planned.scratch.as_ref().or(fetched.as_ref());
    let context = Context { scratch, tokens: tokens.as_ref(), ..Context::default() };
    apply::apply(machine, plan, context, report).await?;
    if let Err(error) = machine.remember() {
        tracing::warn!("what need not be looked at again is not recorded: {}", error.in_public());
    }
    Ok(())
}
