//! A dry run: the same as a run up to the plan, then a check of each step. Changes nothing.

use std::pin::pin;

use super::identify::{begin, identify};
use super::tokens::tokens;
use super::wanted::{Planned, plan};
use crate::error::Result;
use crate::machine::{self, Check, Observe};
use crate::observe::Flags;
use crate::plan::{Plan, Preview, correct_previews};
use crate::report::Report;

/// Makes the plan, and checks which of its steps would change something.
pub async fn prepare(machine: &impl Observe, flags: &Flags, report: &Report) -> Result<Prepared> {
    let mut stop = pin!(machine::shutdown_signal());
    let (policy, limit) = begin(machine, flags, stop.as_mut(), report).await?;
    let planning = async {
        let identified = identify(machine, flags, policy, report).await?;
        // The fetched objects are deleted here: a dry run checks nothing out.
        let Planned { plan, here, .. } = plan(machine, flags, &identified, report).await?;
        if here && identified.facts.instance.is_some() {
            // A run reads the tokens only later. A dry run shows now whether they are there.
            tokens(machine, flags, &identified, &plan, report).await?;
        }
        let previews = if here { Some(previews(machine, &plan).await?) } else { None };
        Ok(Prepared { plan, previews })
    };
    limit.run(stop.as_mut(), planning).await
}

/// The result of a dry run.
pub struct Prepared {
    pub plan: Plan,
    /// One for each step; `None` if the plan is for another machine (`--facts`).
    pub previews: Option<Vec<Preview>>,
}

async fn previews(machine: &impl Observe, plan: &Plan) -> Result<Vec<Preview>> {
    let mut previews = Vec::new();
    for step in &plan.steps {
        previews.push(match machine.check(&step.action).await {
            Ok(Check::AlreadySo) => Preview::already(),
            Ok(Check::WouldChange(how)) => Preview::to_do(how),
            // The step's files are readable by root only.
            Err(_) if !machine.is_root() => Preview::to_do("only root can see"),
            Err(error) => return Err(error),
        });
    }
    Ok(correct_previews(plan, previews))
}
