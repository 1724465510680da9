//! What is and what is wanted. Reads only: everything here gets `&impl Observe`, so the compiler
//! shows that a dry run cannot act.

mod credential;
mod decision;
mod flag_file;
mod identity;
pub mod manifest;
mod policy;
mod reads;
mod said;
pub mod secrets;
mod waiting;

pub use decision::Decision;
pub use flag_file::flag_file;
pub use identity::{Anew, NextBoot, Selection, select};
pub use policy::{
    Archives, ArchivesAllowed, Flags, Fragment, Origins, Overrides, POLICY, PackagesAllowed, Policy, policy,
    recorded_flags,
};
pub use reads::{
    Fetched, MANIFEST, decided, document, facts, failures, good_environment, instance, manifest,
    repository_manifest, secret_text, source, tags, tip, unusable, variables, variables_of,
};
