//! Node's package managers: which one a commit is for, in which version, and its commands. Pure.
//!
//! A manager is a row of data. It is chosen by `packageManager`, else by the lockfile; never by what is installed. Its
//! version is that of `packageManager`, else what other files request, else the usual one for the lockfile.

mod hash;
mod rows;
mod select;
mod tool;
mod version;

pub use rows::{Manager, YARN_BERRY};
pub use select::{LOCKFILES, Selected, selected};
pub use tool::tool;
