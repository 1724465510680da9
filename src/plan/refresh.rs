//! The instance refresh of an Auto Scaling group, with which a rollout replaces its instances. Data only.

use serde::Serialize;

use super::FleetAccess;

/// Starts a refresh. New instances choose their commit by the pin of the fleet memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StartRefresh {
    pub group: String,
    /// Percent of the desired capacity that stay in service meanwhile.
    pub min_healthy: u32,
    /// Percent of the desired capacity that may exist meanwhile.
    pub max_healthy: u32,
    #[serde(flatten)]
    pub access: FleetAccess,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CancelRefresh {
    pub group: String,
    #[serde(flatten)]
    pub access: FleetAccess,
}
