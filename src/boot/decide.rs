//! The planner is called with all that is wanted.

use std::sync::Arc;

use crate::error::Result;
use crate::facts::{Facts, Source};
use crate::machine;
use crate::observe::Selection;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Variables;
use crate::plan::{Plan, Rendering, Setting};
use crate::planner::{self, Unmet, Wanted};

/// What the service is and needs, as far as others than this machine say it.
#[derive(Clone)]
pub struct Service {
    pub source: Source,
    pub manifest: Manifest,
    pub manifest_from: Setting,
    pub secret: Option<Variables>,
}

/// The planner reads what others wrote, package.json for one: beside the async thread.
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
            secret: service.secret.as_ref(),
            good_environment: good_environment.as_ref(),
        }))
    };
    machine::blocking(plan).await?
}
