//! The health check of a deployment, as plain data. The records of earlier runs contain it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Seconds;

/// When a service is healthy. Each deployment has its own, because another commit may listen on another port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub unit: String,
    pub probe: Probe,
    /// Further probes that must succeed each time that `probe` does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Probe>,
    /// The time limit for the first good answer.
    pub within: Seconds,
    /// The minimum healthy time after it: the same main process, no restart, every answer good.
    pub soak: Seconds,
    /// The pause between two probes.
    pub interval_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Probe {
    /// A GET request that must be answered with one of these statuses, by a socket of the unit.
    Http {
        port: u16,
        path: String,
        statuses: Vec<u16>,
        /// The request's `Host` header; none: the address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// How long one answer may take.
        #[serde(default = "Probe::answer", skip_serializing_if = "Probe::is_default_answer")]
        answer: Seconds,
    },
    /// A process of the unit must listen on the port.
    Tcp { port: u16 },
    /// The unit's process must stay alive without a restart: for a service without a known port.
    Alive,
    /// A program of the machine that must end with status 0. Its output identifies the processes that it checked:
    /// different output means that they were restarted.
    Command {
        /// What the probe proves, in a few words, for messages.
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

    /// How much a good answer proves about what clients get; a living process proves nothing.
    pub fn strength(&self) -> Strength {
        match self {
            Probe::Http { .. } => Strength::Http,
            Probe::Tcp { .. } => Strength::Port,
            Probe::Alive | Probe::Command { .. } => Strength::Process,
        }
    }
}

/// The three kinds of health check, the weakest first. Their names are the values of `health.check` in the manifest.
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
