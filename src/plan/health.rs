//! The wait for a healthy service. Data only.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::facts::{Gate, Seconds};

/// A health check, and what makes it fail before its timeout. The early ends belong to the step, not to the deployment:
/// without a previous deployment to go back to, the same deployment is given its whole time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthWait {
    #[serde(flatten)]
    pub gate: Gate,
    /// More restarts of the service than this fail the check. `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_restarts: Option<u32>,
    /// How long the service may listen on other ports only, not on the checked one. `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Seconds>,
    /// The ports on which the last healthy deployment was observed to listen. If there are any, and none is configured,
    /// the service must listen, too.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub listened: BTreeSet<u16>,
    /// Where it is recorded on which ports the service is observed to listen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<PortsRecord>,
    /// For the error's remedy, if the service exits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unset: Option<Unset>,
    /// For the remedy, if the service ends without an error: the start line that was only guessed, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guess: Option<String>,
}

/// Variables that an example of a `.env` in the repository names and the service does not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unset {
    /// The example's name: `.env.example`.
    pub file: String,
    /// At least one.
    pub names: Vec<String>,
}

impl Unset {
    /// The first names: `A, B and 3 more`.
    pub fn shown(&self) -> String {
        const SHOWN: usize = 8;
        let names = self.names[..self.names.len().min(SHOWN)].join(", ");
        match self.names.len().saturating_sub(SHOWN) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

impl HealthWait {
    /// With no early end, and no more to say about a failure than what is observed.
    pub fn of(gate: Gate) -> HealthWait {
        HealthWait {
            gate,
            most_restarts: None,
            elsewhere: None,
            listened: BTreeSet::new(),
            record: None,
            unset: None,
            guess: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortsRecord {
    pub path: PathBuf,
    pub release: PathBuf,
}
