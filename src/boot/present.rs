//! What serves now, for `status` and for the end of a run: one reading, which changes nothing.

use std::pin::pin;
use std::time::Duration;

use super::Identified;
use crate::error::Result;
use crate::facts::{Asked, Commit, Generation, Present, Service};
use crate::machine::{Check, Observe, shutdown_signal};
use crate::observe::{self, Flags};
use crate::plan::Action;
use crate::planner;
use crate::report::Report;

/// The reading, with what differs from what the last run left. `settled` is whether no run goes on, which would be
/// changing it at this moment.
pub async fn present(machine: &impl Observe, asked: &Asked, settled: bool) -> Result<Option<Present>> {
    let Some(mut present) = machine.present(asked).await? else { return Ok(None) };
    if let Some(good) = present.good.as_ref().filter(|_| settled && present.unit.is_active()) {
        present.by_hand = by_hand(machine, &present.service, &good.generation).await;
    }
    Ok(Some(present))
}

/// A recovery that failed on its way, for want of room say, may have had nothing to bring back: what passed before
/// serves all the same.
pub async fn after_recovery(machine: &impl Observe, report: &Report) {
    const PATIENCE: Duration = Duration::from_secs(15);
    if report.knows_what_serves() {
        return;
    }
    let asked = report.asked();
    let looking = present(machine, &asked, true);
    let Ok(Ok(Some(present))) = tokio::time::timeout(PATIENCE, looking).await else { return };
    let is_left_alone = present.is_good && present.by_hand.is_empty() && present.answers == Some(true);
    if let Some(good) = present.good.filter(|_| is_left_alone) {
        report.serves_on(&good.generation);
    }
}

/// Which commit the branch has by now, asked as a run would ask it.
pub async fn newest(machine: &impl Observe, flags: &Flags, report: &Report) -> Result<Commit> {
    let mut stop = pin!(shutdown_signal());
    let (policy, limit) = super::identify::begin(machine, flags, stop.as_mut(), report).await?;
    let asking = async {
        let Identified { policy, facts, selection, .. } =
            super::identify::identify(machine, flags, policy, report).await?;
        observe::tip(machine, flags, &selection, &facts, &policy).await
    };
    limit.hold(stop.as_mut(), asking).await
}

/// Each in a few words. Only root can see it; for others nothing differs.
async fn by_hand(machine: &impl Observe, service: &Service, good: &Generation) -> Vec<String> {
    let mut differs = Vec::new();
    for action in planner::running(service, good) {
        let how = match machine.check(&action).await {
            Ok(Check::AlreadySo) => continue,
            Ok(Check::WouldChange(how)) => how,
            Err(error) => format!("cannot be looked at: {}", error.in_public().report().causes.join(": ")),
        };
        differs.push(match &action {
            Action::SwitchSymlink { path, .. } => format!("{} {how}", path.display()),
            _ => format!("{} {how}", good.gate.unit),
        });
    }
    differs
}
