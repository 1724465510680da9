//! Plain data about the machine, the instance and the service's repository.
//!
//! No code here reads or changes the machine. `machine` and `observe` fill these types, and the planner reads them.
//! `bootagent facts` prints them as JSON, so that a plan can be made elsewhere from a recorded machine.

mod boot_times;
mod copy;
mod family;
mod fleet;
mod gate;
mod group;
mod hooks;
mod host_key;
mod known;
mod lifecycle;
mod listing;
mod machine;
mod names;
mod network;
mod newtype;
mod notices;
mod operator;
mod pin;
mod present;
mod program;
pub mod records;
mod registry;
mod seconds;
mod signer;
mod source;
mod template;
#[cfg(test)]
pub mod testing;
mod uncommitted;
mod values;
mod watched;

pub use boot_times::BootTimes;
pub use copy::{CopyKind, SourceCopy, age};
pub use family::{Family, PackageManager};
pub use fleet::{
    FleetFailure, FleetGood, FleetKnown, FleetMemory, FleetPrefix, Listed, PrefixError, S3Object, is_instance,
};
pub use gate::{Gate, Probe, Protocol, Request, Strength};
pub use group::{Group, GroupMember, GroupQuery, Refresh, TargetHealth};
pub use hooks::{HookPhase, Hooks};
pub use host_key::{HostKey, RSA_HOST_KEY};
pub use known::{Ask, Known, Question};
pub use lifecycle::Lifecycle;
pub use listing::Listing;
pub use machine::{ExistingNames, Facts, Instance, Machine, Selinux};
pub use names::{Branch, Commit, CommitPrefix, Environment, NameError, Service};
pub use network::{AddressError, CaFile, HostName, Mirror, Mirrors, Network, Proxy};
pub use notices::{FileSystem, Notices, Resources, Spot};
pub use operator::Operator;
pub use pin::FleetPin;
pub use present::{
    Agent, Asked, BesidePresent, CRASH_LOOP_RESTARTS, CRASH_LOOP_SECONDS, Hold, Passed, Present, Restarts,
    UnitPresent,
};
pub use program::{Installed, Places, Programs};
pub use records::{
    Attempt, Baked, Companion, Failure, Generation, Good, Ingredients, Kept, Listened, ServiceFile,
    Supervised, Takes, Unrecorded, Unusable,
};
pub use registry::Registry;
pub use seconds::Seconds;
pub use signer::{NAMESPACE, Signer, Validity};
pub use source::{Entry, EntryKind, Evidence, HEAD, LONGEST_EVIDENCE, OwnManifest, Source, requested};
pub use template::{Form, Part, Template};
pub use uncommitted::Uncommitted;
pub use values::{Arn, FileFormat, ValueFile, ValuePlace, ValueSource};
pub use watched::{Watched, WatchedEvent};
