//! Reads the machine, the policy, the repository, the manifest and the secret, and selects what to deploy.
//!
//! No code here changes the machine: it gets `&impl Observe`, whose methods only read. So a dry run may call all of it.

mod choice;
mod compare;
mod copies;
mod credential;
mod decision;
mod flag_file;
mod fleet;
mod identity;
pub mod manifest;
mod nearest;
mod notes;
mod own_manifest;
mod policy;
mod reads;
mod remote;
pub mod secrets;
mod sources;
mod tokens;
mod values;

pub use copies::{SourceOrigin, source_from, source_origins};
pub use decision::Decision;
pub use flag_file::flag_file;
pub use fleet::{FleetReader, fleet, fleet_failures, fleet_migrated, parsed};
pub use identity::{Anew, NextBoot, Selection, select, selected_service};
pub use own_manifest::{may_need_no_repository, own_manifest};
pub use policy::{
    Archives, ArchivesAllowed, Bundles, CacheWanted, CopiesWanted, Flags, FleetWanted, Fragment,
    LimitsAllowed, LowPorts, OnFailure, Origins, Overrides, POLICY, PackagesAllowed, Policy, Unreachable,
    ValuesAllowed, WatchWanted, policy, recorded_flags,
};
pub use reads::{
    Fetched, MANIFEST, decided, document, facts, failures, good_environment, instance, lifecycle, manifest,
    repository_manifest, source, tags, tip, tip_within, unusable,
};
pub use sources::sources;
pub use tokens::tokens;
pub use values::{collected, further_values, own_values, variables_of};
