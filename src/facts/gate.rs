//! What a health check asks of a service: plain data, which records of earlier runs hold as well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Seconds;

/// When a service is healthy. It belongs to a generation: another commit may listen elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub unit: String,
    pub probe: Probe,
    /// What must hold besides, each time that the probe is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Probe>,
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
    Http {
        port: u16,
        path: String,
        statuses: Vec<u16>,
        /// What the request says as `Host`. Absent: the address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// How long one answer may take.
        #[serde(default = "Probe::answer", skip_serializing_if = "Probe::is_default_answer")]
        answer: Seconds,
    },
    /// The unit itself listens.
    Tcp { port: u16 },
    /// No port is known: alive without a restart.
    Alive,
    /// A program of the machine's that ends with status 0. What it prints tells which processes it means: as long as
    /// that is the same, they are.
    Command {
        /// What it shows, in a few words.
        what: String,
        argv: Vec<String>,
        user: String,
        environment: BTreeMap<String, String>,
    },
}

impl Probe {
    /// As long as a load balancer's target group waits for an answer by default.
    pub fn answer() -> Seconds {
        Seconds(5)
    }

    fn is_default_answer(answer: &Seconds) -> bool {
        *answer == Self::answer()
    }

    pub fn port(&self) -> Option<u16> {
        match self {
            Probe::Http { port, .. } | Probe::Tcp { port } => Some(*port),
            Probe::Alive | Probe::Command { .. } => None,
        }
    }

    /// How much a good answer proves of what clients see: of a living process nothing.
    pub fn strength(&self) -> Strength {
        match self {
            Probe::Http { .. } => Strength::Http,
            Probe::Tcp { .. } => Strength::Port,
            Probe::Alive | Probe::Command { .. } => Strength::Process,
        }
    }
}

/// The three kinds of health check, the weakest first. Their names are the manifest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    Process,
    Port,
    Http,
}

impl Strength {
    pub const ALL: [Strength; 3] = [Strength::Http, Strength::Port, Strength::Process];

    pub fn name(self) -> &'static str {
        match self {
            Strength::Http => "http",
            Strength::Port => "port",
            Strength::Process => "process",
        }
    }
}
