//! What `npm ci` would make of a lockfile: every package with its address and hash, every link, and the text of the hidden
//! lockfile. Pure.
//!
//! Only what npm is certain to do the same way is answered. For everything else the answer is an [`Obstacle`] with the
//! reason: npm itself installs, or nothing does, because an entry is an attack.
//!
//! ```text
//! package-lock.json, package.json ─► lockfile (entries) ─► graph (edges) ─► selection (what is placed) ─► Tree
//! .npmrc, npm_config_*            ─► settings ─► address (where each archive is), credentials
//! ```

mod address;
mod archives;
mod bins;
mod bundle;
mod bundles;
mod collate;
mod credentials;
mod entry;
mod files;
mod graph;
mod hidden;
mod ini;
mod integrity;
mod leftovers;
mod local;
mod lockfile;
mod path;
mod platform;
mod selection;
mod settings;
mod specifier;
#[cfg(test)]
mod tests;
mod tree;

pub use address::{Address, PUBLIC};
pub use archives::{Named, archives};
pub use bundle::{Bundle, Bundled};
pub use credentials::Credentials;
pub use files::Files;
pub use integrity::{Algorithm, Integrity};
pub use platform::Platform;
pub use settings::{Layer, Settings};
pub use tree::{Bin, Inputs, Link, Package, Tree, tree};

/// Why there is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// npm installs. The rest of a sentence that begins "npm installs, because".
    ForNpm(String),
    /// Nothing is installed: no tool writes this, so it is an attack or damage.
    Refused(String),
}

fn for_npm<T>(reason: impl Into<String>) -> Result<T> {
    Err(Obstacle::ForNpm(reason.into()))
}

fn refused<T>(reason: impl Into<String>) -> Result<T> {
    Err(Obstacle::Refused(reason.into()))
}

type Result<T> = std::result::Result<T, Obstacle>;

/// Text of the repository in a reason: cut, on one line.
fn quoted(text: &str) -> String {
    crate::secret::excerpt(text)
}
