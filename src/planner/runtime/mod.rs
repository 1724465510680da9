//! What a repository is written in, and how such a thing is installed and started.
//!
//! A new runtime is one new file with its `Runtime`, its line in `ALL` below, and folders under `tests/plans`. What its
//! tools say when they fail is read in `fault/words`.

mod choice;
mod command;
mod node;
mod node_archive;
mod node_choice;
mod node_index;
mod node_version;
mod python;
mod recipe;
mod shell;

use super::env::Dialect;
use super::unmet::Unmet;
use crate::error::Result;
use crate::facts::Places;
use crate::observe::Selection;
use crate::observe::manifest::{Manifest, Table};

pub use command::Start;
pub use node::NODE;
pub use recipe::{ANY_VERSION, Draft, Need, Recipe, Runtime, Work};

/// All that there are, in the order in which errors name them.
const ALL: &[&Runtime] = &[&node::NODE, &python::PYTHON];

/// The recipe of the runtime that the manifest names, or that claims the commit.
pub fn recipe(draft: &Draft) -> Result<Recipe, Unmet> {
    choice::recipe(ALL, draft)
}

/// A policy may name only archives and mirrors that there are.
pub fn refuse_unknown(selection: &Selection) -> Result<()> {
    choice::refuse_unknown(ALL, selection)
}

/// Every runtime's evidence: the files whose text a fetch brings along.
pub fn evidence() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for path in ALL.iter().flat_map(|runtime| runtime.evidence) {
        if !all.iter().any(|known| known == path) {
            all.push((*path).to_owned());
        }
    }
    all
}

/// What is looked for on the machine.
pub fn programs() -> Vec<&'static Places> {
    ALL.iter().flat_map(|runtime| runtime.programs).collect()
}

/// Their tables of the manifest.
pub fn tables() -> Vec<&'static Table> {
    ALL.iter().map(|runtime| &runtime.table).collect()
}

/// Who reads the `.env` of this manifest's service, as far as the manifest alone tells it.
pub fn dialect(manifest: &Manifest) -> &'static Dialect {
    let named = manifest.runtime.as_ref();
    let named = named.and_then(|name| ALL.iter().find(|runtime| runtime.name == name));
    named.map_or(NODE.dialect, |runtime| runtime.dialect)
}

/// The programs that may be installed from archives.
pub fn archived() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|runtime| runtime.archives).map(|names| names.program)
}
