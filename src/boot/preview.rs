//! A dry run: the same as a run up to the plan, and then a look at what each of its steps would find.

use std::pin::pin;

use super::identify::{begin, identify};
use super::wanted::{Planned, plan};
use crate::error::Result;
use crate::machine::{self, Check, Observe};
use crate::observe::Flags;
use crate::plan::{Plan, Preview, foreseen};
use crate::report::Report;

/// Observe and plan, as a dry run does. Nothing on the machine changes.
pub async fn prepare(machine: &impl Observe, flags: &Flags, report: &Report) -> Result<Prepared> {
    let mut stop = pin!(machine::shutdown_signal());
    let (policy, limit) = begin(machine, flags, stop.as_mut(), report).await?;
    let planning = async {
        let identified = identify(machine, flags, policy, report).await?;
        // What was fetched goes with it.
        let Planned { plan, here, .. } = plan(machine, flags, &identified, report).await?;
        let previews = if here { Some(previews(machine, &plan).await?) } else { None };
        Ok(Prepared { plan, previews })
    };
    limit.hold(stop.as_mut(), planning).await
}

/// A plan, and what each of its steps would find on this machine, if it is about this one.
pub struct Prepared {
    pub plan: Plan,
    pub previews: Option<Vec<Preview>>,
}

async fn previews(machine: &impl Observe, plan: &Plan) -> Result<Vec<Preview>> {
    let mut previews = Vec::new();
    for step in &plan.steps {
        previews.push(match machine.check(&step.action).await {
            Ok(Check::AlreadySo) => Preview::already(),
            Ok(Check::WouldChange(how)) => Preview::to_do(how),
            // Root's own records, which other users cannot read.
            Err(_) if !machine.is_root() => Preview::to_do("only root can see"),
            Err(error) => return Err(error),
        });
    }
    Ok(foreseen(plan, previews))
}
