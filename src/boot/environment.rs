//! Reads for `bootagent env check` what a run would read: the secret and the manifest. Changes nothing.

use super::identify::{Identified, identify};
use crate::error::Result;
use crate::machine::Observe;
use crate::observe::manifest::Manifest;
use crate::observe::{self, Flags, Values};
use crate::planner::runtime;
use crate::report::Report;

/// The values of this instance's service, and the manifest of the pinned commit.
pub struct Environment {
    pub values: Vec<Values>,
    /// `None` until a run has pinned a commit.
    pub manifest: Option<Manifest>,
}

pub async fn environment(machine: &impl Observe, flags: &Flags, report: &Report) -> Result<Environment> {
    let policy = observe::policy(machine, flags).await?;
    let Identified { policy, facts, selection, decided, .. } =
        identify(machine, flags, policy, report).await?;
    let values = observe::values(machine, &selection, &facts, flags, &policy).await?;
    let manifest = match &decided {
        Some(decided) => {
            let tables = runtime::tables();
            Some(observe::manifest(machine, &selection, flags, &decided.source, tables).await?.0)
        }
        None => None,
    };
    Ok(Environment { values, manifest })
}
