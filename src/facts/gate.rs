//! What a health check asks of a service: plain data, which records of earlier runs hold as well.

use serde::{Deserialize, Serialize};

use super::Seconds;

/// When a service is healthy. It belongs to a generation: another commit may listen elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub unit: String,
    pub probe: Probe,
    /// How long the service may take to answer well for the first time.
    pub within: Seconds,
    /// How long it must then stay well: same main process, no restart, every answer good.
    pub soak: Seconds,
    pub interval_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Probe {
    /// A GET that must answer with one of these statuses, from a socket of the unit.
    Http { port: u16, path: String, statuses: Vec<u16> },
    /// The unit itself listens.
    Tcp { port: u16 },
    /// No port is known: alive without a restart.
    Alive,
}

impl Probe {
    pub fn port(&self) -> Option<u16> {
        match self {
            Probe::Http { port, .. } | Probe::Tcp { port } => Some(*port),
            Probe::Alive => None,
        }
    }
}
