//! Reads for `bootagent env check` what a run would read: the secret and the manifest. Changes nothing.

use super::identify::{Identified, identify};
use crate::error::Result;
use crate::facts::ValueSource;
use crate::machine::Observe;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::{Merged, merge};
use crate::observe::{self, Flags};
use crate::planner::runtime;
use crate::report::Report;

/// The values of this instance's service, and the manifest of the pinned commit.
pub struct Environment {
    /// What was read, for messages.
    pub places: Vec<String>,
    /// No variable is judged yet.
    pub values: Merged,
    /// `None` until a run has pinned a commit.
    pub manifest: Option<Manifest>,
}

pub async fn environment(machine: &impl Observe, flags: &Flags, report: &Report) -> Result<Environment> {
    let policy = observe::policy(machine, flags).await?;
    let Identified { policy, facts, selection, decided, .. } =
        identify(machine, flags, policy, report).await?;
    let own = observe::own_values(machine, &selection, &facts, flags, &policy);
    let manifest = match &decided {
        Some(decided) => {
            let tables = runtime::tables();
            Some(observe::manifest(machine, &selection, flags, &decided.source, tables).await?.0)
        }
        None => None,
    };
    let sources = match &manifest {
        Some(manifest) => observe::sources(manifest, &selection)?,
        None => Vec::new(),
    };
    let of = (&selection, &facts);
    let mut read = observe::further_values(machine, &sources, of, flags, &policy).await?;
    let mut all = sources;
    if manifest.as_ref().is_none_or(|manifest| manifest.secret) {
        let own = own.await?;
        all.push(ValueSource::whole(own.place.clone()));
        read.push(own);
    }
    let places = all.iter().map(|source| source.place.name().to_owned()).collect();
    Ok(Environment { places, values: merge(&all, &read, None)?, manifest })
}
