//! What serves now, for `bootagent status` and for the end of a run. Changes nothing.

use std::pin::pin;
use std::time::Duration;

use super::Identified;
use crate::error::{Code, Error, Result};
use crate::facts::{Asked, Commit, Generation, Present, Service, Source};
use crate::machine::{Check, Observe, shutdown_signal};
use crate::observe::{self, Flags};
use crate::plan::Action;
use crate::planner;
use crate::report::Report;

/// What serves, and how it differs from what the last run left. With `settled = false` the differences are not read: an
/// active run may be making them.
pub async fn present(machine: &impl Observe, asked: &Asked, settled: bool) -> Result<Option<Present>> {
    let Some(mut present) = machine.present(asked).await? else { return Ok(None) };
    if let Some(good) = present.good.as_ref().filter(|_| settled && present.unit.is_active()) {
        present.by_hand = by_hand(machine, &present.service, &good.generation).await;
    }
    Ok(Some(present))
}

/// Reports the previous deployment if it serves after a recovery that failed half-way, for example because the disk is
/// full: there may have been nothing to restore.
pub async fn after_recovery(machine: &impl Observe, report: &Report) {
    const PATIENCE: Duration = Duration::from_secs(15);
    if report.knows_what_serves() {
        return;
    }
    let asked = report.asked();
    let looking = present(machine, &asked, true);
    let Ok(Ok(Some(present))) = tokio::time::timeout(PATIENCE, looking).await else { return };
    let serves = present.is_good && present.by_hand.is_empty() && present.answers == Some(true);
    if let Some(good) = present.good.filter(|_| serves) {
        report.serves_on(&good.generation);
    }
}

/// The branch's newest commit, read from the git server with the credentials that a run would use.
pub async fn newest(machine: &impl Observe, flags: &Flags, report: &Report) -> Result<Commit> {
    let mut stop = pin!(shutdown_signal());
    let (policy, limit) = super::identify::begin(machine, flags, stop.as_mut(), report).await?;
    let asking = async {
        let identified = super::identify::identify(machine, flags, policy, report).await?;
        if let Some(manifest) = identified.facts.own_manifest.clone() {
            let branch = identified.selection.branch.clone();
            let source = Source::of_manifest(&manifest, branch);
            return Ok(source.map_err(|error| Error::new(Code::Bug, "reading the manifest", error))?.commit);
        }
        let Identified { policy, facts, selection, .. } = identified;
        observe::tip(machine, flags, &selection, &facts, &policy).await
    };
    limit.run(stop.as_mut(), asking).await
}

/// Differences from what the last run left, each in a few words. Only root can read the record to compare with, so
/// other users get none.
async fn by_hand(machine: &impl Observe, service: &Service, good: &Generation) -> Vec<String> {
    let mut differs = Vec::new();
    for action in planner::running(service, good) {
        let how = match machine.check(&action).await {
            Ok(Check::AlreadySo) => continue,
            Ok(Check::WouldChange(how)) => how,
            Err(error) => format!("cannot be checked: {}", error.in_public().report().causes.join(": ")),
        };
        differs.push(match &action {
            Action::SwitchSymlink { path, .. } => format!("{} {how}", path.display()),
            Action::EnsureRunning(ensure) => format!("{} {how}", ensure.unit),
            _ => format!("{} {how}", good.gate.unit),
        });
    }
    differs
}
