//! What a repository is written in, and how such a thing is installed and started.
//!
//! A new runtime is one new file with its `Runtime`, its line in `ALL` below, and folders under `tests/plans`. What its
//! tools say when they fail is read in `fault/words`.

mod choice;
mod command;
mod node;
mod node_archive;
mod node_index;
mod node_version;
mod python;
mod recipe;
mod shell;

use std::collections::BTreeMap;

use super::Unmet;
use super::env::Dialect;
use crate::facts::{Facts, Mirrors, Network, Places, Source};
use crate::observe::manifest::{Manifest, Table};
use crate::observe::{Archives, PackagesAllowed};
use crate::plan::layout::Layout;

pub use choice::{recipe, refuse_unknown};
pub use command::Start;
pub use node::NODE;
pub use recipe::{Need, Recipe, Work};

/// All that there are, in the order in which errors name them.
const ALL: &[&Runtime] = &[&node::NODE, &python::PYTHON];

/// A runtime: what is particular to one, as data and functions.
#[derive(Debug)]
pub struct Runtime {
    /// As manifests name it.
    pub name: &'static str,
    /// The files whose text a fetch brings along.
    pub evidence: &'static [&'static str],
    /// What is looked for on the machine.
    pub programs: &'static [Places],
    /// Its own table of the manifest.
    pub table: Table,
    /// Its part of the policy: what may come from archives, and what from a mirror.
    pub archives: &'static [ArchiveNames],
    pub mirrors: &'static [&'static str],
    /// Who reads the `.env` of its services.
    pub dialect: &'static Dialect,
    /// How its tools are told of the network, beside what every program reads.
    pub network: fn(&Network, &Mirrors) -> BTreeMap<String, String>,
    /// Whether a commit is for it, by the names in its root.
    pub detect: fn(&Source) -> Option<Claim>,
    pub recipe: fn(&Draft) -> Result<Recipe, Unmet>,
}

/// The archives of one program, as the policy may pin them.
#[derive(Debug)]
pub struct ArchiveNames {
    pub program: &'static str,
    pub is_one: fn(&str) -> bool,
    pub example: &'static str,
}

/// By which file a runtime takes a commit for its own, and how much that says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub by: &'static str,
    pub weight: Weight,
}

/// The weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A description of the package, which may be there for its tools alone.
    Package,
    /// Exactly which dependencies are to be installed.
    Lockfile,
}

/// All that a recipe is made from.
pub struct Draft<'a> {
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub facts: &'a Facts,
    pub archives: &'a Archives,
    pub mirrors: &'a Mirrors,
    pub packages: &'a PackagesAllowed,
    pub layout: &'a Layout,
}

/// A version for plans without a machine: it satisfies any range.
pub const ANY_VERSION: &str = "any";

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
