//! The machine, its instance and the records of earlier runs: plain data that `bootagent facts` prints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Attempt, Baked, FleetKnown, Good, Hooks, Kept, Known, Lifecycle, Listened, Operator, OwnManifest,
    Programs, Service, Unrecorded, Unusable,
};

/// What the machine is, and what is installed and recorded on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub machine: Machine,
    /// The running bootagent is the one that `bootagent.service` starts at the next boot.
    pub installed: bool,
    /// The machine has nft, which the firewall rules of `imds.users` need.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nft: bool,
    /// The machine has no bundle of CA certificates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_certificates: bool,
    /// An earlier run loaded those rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imds_rules: bool,
    /// An earlier run made a swap file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub swap: bool,
    /// An earlier run bounded the journal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub journal: bool,
    /// An earlier run installed the watcher.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
    /// Absent on a laptop.
    pub instance: Option<Instance>,
    /// The instance's tags; absent where IMDS was not asked.
    pub tags: Option<BTreeMap<String, String>>,
    /// The operator's manifest of the selected service, if that service has no repository.
    #[serde(skip)]
    pub own_manifest: Option<OwnManifest>,
    /// The operator's hooks.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Read only if the policy names a lifecycle hook.
    #[serde(default, skip_serializing_if = "Lifecycle::is_unknown")]
    pub lifecycle: Lifecycle,
    /// What the instances of the service and environment share. Read only if the policy names a prefix for it.
    #[serde(default, skip_serializing_if = "FleetKnown::is_empty")]
    pub fleet: FleetKnown,
    /// The installed programs of runtimes.
    #[serde(default, alias = "node", deserialize_with = "super::program::programs")]
    pub programs: Programs,
    /// Answers to the planner's questions.
    #[serde(default, alias = "node_index", skip_serializing_if = "Known::is_empty")]
    pub known: Known,
    /// Existing names, also of users, units and directories that bootagent did not create.
    pub taken: ExistingNames,
    /// Services with an ownership marker: bootagent created their users, units and directories.
    pub claims: BTreeSet<Service>,
    /// Services deployed by bootagent whose units are active.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub active: BTreeSet<Service>,
    /// Services deployed by bootagent whose units are between two states: systemd starts them again, or stops them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub restarting: BTreeSet<Service>,
    /// Unit files beside those of the services, such as `auth.worker.service`, that bootagent wrote.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub process_units: BTreeMap<Service, BTreeSet<String>>,
    /// An operator's settings, which no run changes.
    #[serde(default, skip_serializing_if = "Operator::said_nothing")]
    pub operator: Operator,
    /// The last healthy deployment of each service.
    pub good: BTreeMap<Service, Good>,
    /// The last started deployment of each service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attempted: BTreeMap<Service, Attempt>,
    /// The ports on which the last healthy deployment of a service without a configured port was observed to listen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub listened: BTreeMap<Service, Listened>,
    /// The kept releases of each service that were healthy and have a record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<Service, Vec<Kept>>,
    /// The release of each service that is part of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baked: BTreeMap<Service, Baked>,
    /// Records that exist and cannot be used, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unusable: BTreeMap<PathBuf, Unusable>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unrecorded: Unrecorded,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// `ID`, `ID_LIKE` and `VERSION_ID` of os-release.
    pub os: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub like: String,
    pub version: String,
    pub arch: String,
    pub memory_mib: u64,
    pub systemd: Option<u32>,
    /// Absent where the kernel has no SELinux, or it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selinux: Option<Selinux>,
}

/// What SELinux does with an access that its policy does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selinux {
    Enforcing,
    /// It is logged and allowed.
    Permissive,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub region: String,
    pub zone: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The first private IPv4 address; none with IPv6 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistingNames {
    pub users: BTreeSet<String>,
    pub groups: BTreeSet<String>,
    /// Service units that systemd knows, such as `nginx.service`.
    pub units: BTreeSet<String>,
    /// Entries of /opt and /var/lib, as absolute paths.
    pub paths: BTreeSet<PathBuf>,
}
