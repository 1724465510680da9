//! Reads the service's commit, manifest and secret, and makes the plan. Changes nothing.

use std::pin::pin;
use std::sync::Arc;

use super::decide::Service;
use super::fetch::{baked, fetch};
use super::identify::Identified;
use super::origins::{Recorded, recorded};
use super::questions::Questions;

use crate::error::Result;
use crate::facts::Source;
use crate::machine::{Observe, Scratch};
use crate::observe::{self, Flags, Selection};
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

/// For a release that is only built: no value is read, not even where the builder's role could.
async fn built(
    machine: &impl Observe,
    flags: &Flags,
    selection: &Selection,
    (source, scratch): (Source, Option<Scratch>),
) -> Result<(Arc<Service>, Option<Scratch>)> {
    let (manifest, manifest_from) =
        observe::manifest(machine, selection, flags, &source, planner::runtime::tables()).await?;
    let manifest = manifest.without_values();
    Ok((Arc::new(Service { source, manifest, manifest_from, values: None }), scratch))
}

async fn service(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<(Arc<Service>, Option<Scratch>)> {
    let Identified { policy, facts, selection, .. } = identified;
    let decided = identified.decided.as_ref().map(|decided| &decided.source);
    let recorded = recorded(decided, identified, flags);
    // The source and the values are read in parallel. If the manifest, which comes with the source, says that the
    // service has no secret, the read is dropped.
    let mut fetching = pin!(async {
        match recorded {
            Some(Recorded::Wanted(source)) => Ok((source.clone(), None)),
            Some(Recorded::Baked(source)) => baked(machine, flags, identified, source, report).await,
            None => fetch(machine, flags, identified, report).await,
        }
    });
    if selection.bakes {
        return built(machine, flags, selection, fetching.await?).await;
    }
    let reading = observe::own_values(machine, selection, facts, flags, policy);
    let what = format!("reading the secret {}", selection.secret);
    let mut reading = pin!(report.during("secret", &what, reading));
    let mut read = None;
    let (source, scratch) = loop {
        tokio::select! {
            fetched = &mut fetching => break fetched?,
            values = &mut reading, if read.is_none() => read = Some(values),
        }
    };
    let (manifest, manifest_from) =
        observe::manifest(machine, selection, flags, &source, planner::runtime::tables()).await?;
    let sources = observe::sources(&manifest, selection)?;
    // A file stands for all sources, also if the service has no secret of its own.
    let is_read = manifest.secret || (flags.overrides.env_file.is_some() && !sources.is_empty());
    let own = async {
        match (is_read, read) {
            (false, _) => Ok(None),
            (true, Some(values)) => values.map(Some),
            (true, None) => reading.await.map(Some),
        }
    };
    let further = async {
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = sources.iter().map(|source| source.place.to_string()).collect();
        let reading = observe::further_values(machine, &sources, (selection, facts), flags, policy);
        report.during("values", &format!("reading {}", places.join(", ")), reading).await
    };
    let (own, further) = tokio::try_join!(own, further)?;
    let values = match own.is_some() || !sources.is_empty() {
        true => Some(observe::collected(&manifest, sources, own, further, flags).await?),
        false => None,
    };
    Ok((Arc::new(Service { source, manifest, manifest_from, values }), scratch))
}
