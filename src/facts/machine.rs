//! The machine, its instance and what earlier runs left on it: plain data that `bootagent facts` records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Attempt, Good, Kept, Known, Operator, Programs, Service, Unrecorded, Unusable};

/// What the machine is and what stands on it already. Recorded by `bootagent facts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub machine: Machine,
    /// The program that recorded this stands where the next boot finds it.
    pub installed: bool,
    /// It has nft, which the firewall rules of instance metadata need.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nft: bool,
    /// An earlier run loaded those rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imds_rules: bool,
    /// Absent on a laptop.
    pub instance: Option<Instance>,
    /// The instance's tags; absent where IMDS was not asked.
    pub tags: Option<BTreeMap<String, String>>,
    /// The programs of runtimes. (`installed` was taken by the agent itself.)
    #[serde(default, alias = "node", deserialize_with = "super::program::programs")]
    pub programs: Programs,
    /// What was asked for plans of this machine, and answered.
    #[serde(default, alias = "node_index", skip_serializing_if = "Known::is_empty")]
    pub known: Known,
    /// Names that exist, also those that bootagent did not make.
    pub taken: Taken,
    /// Services that an earlier run claimed: their users, units and directories are ours.
    pub claims: BTreeSet<Service>,
    /// Services of ours whose units run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub active: BTreeSet<Service>,
    /// Those that do not run at this moment, and that systemd has not given up: it starts them again, or stops them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub restarting: BTreeSet<Service>,
    /// What an operator told this machine, which no run undoes.
    #[serde(default, skip_serializing_if = "Operator::said_nothing")]
    pub operator: Operator,
    /// The last generation of each service that passed its gate.
    pub good: BTreeMap<Service, Good>,
    /// The last generation of each service that was put to run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attempted: BTreeMap<Service, Attempt>,
    /// The releases of each service that passed and are kept, as far as they have a record of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<Service, Vec<Kept>>,
    /// Records that are there and cannot be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unusable: BTreeMap<PathBuf, Unusable>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unrecorded: Unrecorded,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// `ID` and `VERSION_ID` of os-release.
    pub os: String,
    pub version: String,
    pub arch: String,
    pub memory_mib: u64,
    pub systemd: Option<u32>,
}

impl Machine {
    /// Whether packages of its distribution can be installed: with apt only, until now.
    pub fn has_apt(&self) -> bool {
        ["debian", "ubuntu"].contains(&self.os.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub region: String,
    pub zone: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub users: BTreeSet<String>,
    pub groups: BTreeSet<String>,
    /// Service units that systemd knows, `nginx.service`.
    pub units: BTreeSet<String>,
    /// Entries of /opt and /var/lib, whole paths.
    pub paths: BTreeSet<PathBuf>,
}
