//! What an instance decided for at its first boot, as it is recorded.

use serde::{Deserialize, Serialize};

use super::Selection;
use crate::facts::{Environment, Kept, Service, Source, records};

/// What this instance is and which commit it serves: decided once, by its first boot, so that a
/// reboot while the branch moves does not become a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    #[serde(default = "records::first_schema")]
    pub schema: u32,
    pub service: Service,
    pub environment: Environment,
    pub source: Source,
    /// The secret with the credential that the source was fetched with.
    #[serde(default)]
    pub credential: Option<String>,
}

impl Decision {
    /// Of the source only what plans are made of is kept: its root and its evidence.
    pub fn of(selection: &Selection, source: &Source) -> Self {
        Decision {
            schema: records::SCHEMA,
            service: selection.service.clone(),
            environment: selection.environment.clone(),
            source: source.root(),
            credential: selection.credential.clone(),
        }
    }

    /// What was decided when this release passed.
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
