//! Reads the service's commit, manifest and secret, and makes the plan. Changes nothing.

use std::pin::pin;
use std::sync::Arc;

use super::decide::Service;
use super::fetch::fetch;
use super::identify::Identified;
use super::questions::Questions;

use crate::error::Result;
use crate::machine::{Observe, Scratch};
use crate::observe::{self, Flags};
use crate::plan::{Plan, layout};
use crate::planner;
use crate::report::Report;

/// A plan.
pub struct Planned {
    pub plan: Plan,
    /// The fetched git objects, which the checkout needs.
    pub scratch: Option<Scratch>,
    /// The plan is for this machine, and not for a recorded one (`--facts`).
    pub here: bool,
}

pub async fn plan(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<Planned> {
    let Identified { selection, here, .. } = identified;
    let here = *here;
    let (service, scratch) = service(machine, flags, identified, report).await?;
    let good_environment = match here {
        true => observe::good_environment(machine, &layout::Layout::new(&selection.service)).await?,
        false => None,
    };
    let asking = Questions { machine, flags, identified, report };
    let (plan, scratch) = asking.plan(service, scratch, good_environment).await?;
    Ok(Planned { plan, scratch, here })
}

async fn service(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<(Arc<Service>, Option<Scratch>)> {
    let Identified { policy, facts, selection, .. } = identified;
    let decided = identified.decided.as_ref().filter(|_| !flags.update);
    // A rollback to a kept release needs no git server: its outage may be the reason for the rollback.
    let kept = selection.pinned.as_ref().filter(|_| facts.instance.is_some());
    let kept = kept.and_then(|commit| planner::kept_of_commit(facts, selection, commit));
    let recorded = decided.map(|decided| &decided.source).or(kept.map(|kept| &kept.source));
    // The source and the secret are read in parallel. If the manifest, which comes with the source, says that the
    // service has no secret, the read is dropped.
    let mut fetching = pin!(async {
        match recorded {
            Some(source) => Ok((source.clone(), None)),
            None => fetch(machine, flags, identified, report).await,
        }
    });
    let reading = observe::secret_text(machine, selection, facts, flags, policy);
    let what = format!("reading the secret {}", selection.secret);
    let mut reading = pin!(report.during("secret", &what, reading));
    let mut read = None;
    let (source, scratch) = loop {
        tokio::select! {
            fetched = &mut fetching => break fetched?,
            text = &mut reading, if read.is_none() => read = Some(text),
        }
    };
    let (manifest, manifest_from) =
        observe::manifest(machine, selection, flags, &source, planner::runtime::tables()).await?;
    let secret = match (manifest.secret, read) {
        (false, _) => None,
        (true, Some(text)) => Some(observe::variables(selection, &manifest, &text?).await?),
        (true, None) => Some(observe::variables(selection, &manifest, &reading.await?).await?),
    };
    Ok((Arc::new(Service { source, manifest, manifest_from, secret }), scratch))
}
