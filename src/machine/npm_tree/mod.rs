//! Installs the packages of a lockfile in place of `npm ci`: what [`crate::npm`] answers is downloaded, verified, unpacked
//! and linked. Runs in the sandbox of install commands, as the build user.
//!
//! ```text
//! files (the commit's) ─► crate::npm::tree ─► download (connections, retries) ─► archive (hash) ─► unpack
//!                             │                                                                     │
//!                             │                            cache (verified again)                                   │
//!                             └─ for npm: `npm ci` runs                         link (.bin, hidden lockfile) ─► npm rebuild
//! ```

mod archive;
mod bundle;
mod cache;
mod connect;
mod download;
mod failure;
mod files;
mod install;
mod link;
pub mod packed;
mod pool;
mod proxy;
mod run;

mod unpack;

pub use run::{ROLE, about_npm, command_line, run};
