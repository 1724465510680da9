//! The record that pins an instance to its service, environment and commit.

use serde::{Deserialize, Serialize};

use super::Selection;
use crate::facts::{Environment, Kept, Service, Source, records};

/// The service and commit that an instance keeps through reboots. The first boot chooses them; without the record, a
/// reboot would deploy whatever was pushed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    #[serde(default = "records::first_schema")]
    pub schema: u32,
    pub service: Service,
    pub environment: Environment,
    pub source: Source,
    /// The name of the secret with the git credential that fetched the source.
    #[serde(default)]
    pub credential: Option<String>,
}

impl Decision {
    /// Records the part of the source that the planner reads, see [`Source::root`].
    pub fn of(selection: &Selection, source: &Source) -> Self {
        Decision {
            schema: records::SCHEMA,
            service: selection.service.clone(),
            environment: selection.environment.clone(),
            source: source.root(),
            credential: selection.credential.clone(),
        }
    }

    /// The record of a kept release, as it was when the release became healthy.
    pub fn kept(service: &Service, kept: &Kept) -> Self {
        Decision {
            schema: records::SCHEMA,
            service: service.clone(),
            environment: kept.environment.clone(),
            source: kept.source.clone(),
            credential: kept.credential.clone(),
        }
    }
}
