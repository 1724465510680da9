use serde::{Deserialize, Serialize};

use super::Selection;
use crate::facts::{Environment, Service, Source};

/// What this instance is and which commit it serves: decided once, by its first boot, so that a
/// reboot while the branch moves does not become a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
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
        let mut source = source.clone();
        source.entries.retain(|entry| !entry.path.contains('/'));
        Decision {
            service: selection.service.clone(),
            environment: selection.environment.clone(),
            source,
            credential: selection.credential.clone(),
        }
    }
}
