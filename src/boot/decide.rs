//! Calls the planner.

use std::sync::Arc;

use crate::error::Result;
use crate::facts::{Facts, Source};
use crate::machine;
use crate::observe::Selection;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Collected;
use crate::plan::{Plan, Rendering, Setting};
use crate::planner::{self, Unmet, Wanted};

/// What the planner needs to know of the service, from its repository, the policy and Secrets Manager.
#[derive(Clone)]
pub struct Service {
    pub source: Source,
    pub manifest: Manifest,
    pub manifest_from: Setting,
    /// `None` if the manifest says that the service has no secret, and names no other source.
    pub values: Option<Collected>,
}

/// Makes the plan on a blocking thread: the planner parses files of the repository, which may be large.
pub async fn decide(
    facts: Facts,
    selection: Selection,
    service: Arc<Service>,
    good_environment: Option<Rendering>,
) -> Result<Plan, Unmet> {
    let plan = move || {
        Ok(planner::plan(&Wanted {
            facts: &facts,
            selection: &selection,
            source: &service.source,
            manifest: &service.manifest,
            manifest_from: &service.manifest_from,
            secret: service.values.as_ref().map(|values| &values.merged.variables),
            values: service.values.as_ref(),
            good_environment: good_environment.as_ref(),
        }))
    };
    machine::blocking(plan).await?
}
