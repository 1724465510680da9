//! What `bootagent watch` attends to beside the service. The planner makes it, a run writes it as JSON, and the watcher
//! reads it: it needs neither policy nor manifest. Data only.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Keepalive, Seconds};
use crate::facts::{Gate, Network};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The service's unit.
    pub unit: String,
    /// How often IMDS is asked; Auto Scaling and the service's health half as often. A Spot notice comes two minutes before
    /// the interruption, and AWS's shortest timeout of a hook is 30 s.
    pub every: Seconds,
    pub instance: String,
    pub region: String,
    pub network: Network,
    /// The name of the Auto Scaling group; absent outside of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The terminate lifecycle hook that is completed once the service has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Keepalive>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsWatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthWatch>,
    /// Whether a rebalance recommendation or a Spot notice makes Auto Scaling replace the instance.
    pub replace: bool,
    /// Directories whose file systems are watched for free space.
    pub room: Vec<PathBuf>,
}

/// Looks whether a secret has a new version, and runs bootagent if it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsWatch {
    /// Names or ARNs.
    pub names: Vec<String>,
    /// How often, with a random difference of up to a fifth.
    pub every: Seconds,
}

/// Reports the instance as unhealthy if the service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthWatch {
    pub gate: Gate,
    /// How long it must have been unhealthy without a break.
    pub after: Seconds,
}
