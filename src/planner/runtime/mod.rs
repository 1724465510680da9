//! The runtimes (Node, Python, static sites, Docker, compose files, database servers): how a commit for each is recognized, installed, built and
//! started. Pure: a runtime
//! makes a recipe, of which other modules make steps.
//!
//! A new runtime is one new file with its `Runtime`, a line in `ALL` below, and directories in `tests/plans`. Error
//! messages of its tools are mapped to faults in `fault/words`.

mod below;
mod certificates;
mod choice;
mod command;
pub mod compose;
pub mod container;
pub mod data_host;
mod directory;
mod docker;
mod dockerfile;
mod fingerprint;
mod first;
mod foreign;
mod image_start;
mod needs;
mod node;
mod procfile;
mod python;
mod recipe;
mod root_install;
mod shell;
pub mod site;
mod static_site;
mod tool_files;
mod yaml;
mod yaml_tree;

use std::path::Path;

use super::env::Dialect;
use super::unmet::Unmet;
use crate::error::Result;
use crate::facts::Places;
use crate::observe::Selection;
use crate::observe::manifest::{Manifest, Table};

pub use command::Start;
pub use directory::Directory;
pub use dockerfile::needs_buildkit;
pub use node::{LOCKFILES, NODE};
pub use recipe::{ANY_VERSION, Kind, Need, Recipe, RecipeInputs, Runtime, Site, Starts, Work};
pub use shell::quoted;
pub use site::{needs as nginx_need, nginx};

/// In the order in which errors name them.
const ALL: &[&Runtime] = &[
    &node::NODE,
    &python::PYTHON,
    &static_site::STATIC,
    &docker::DOCKER,
    &compose::COMPOSE,
    &data_host::MONGODB,
    &data_host::POSTGRESQL,
    &data_host::REDIS,
];

/// The recipe of the runtime that the manifest names, else of the one that recognizes the commit, and those of the
/// directories that are built before it.
pub fn recipe(inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    let mut recipe = choice::recipe(ALL, inputs)?.moved(inputs.source.directory());
    let mut first = first::recipes(inputs, &recipe)?;
    root_install::once(&mut first.iter_mut().chain([&mut recipe]).collect::<Vec<_>>());
    let mut recipe = Recipe { first, ..recipe };
    certificates::add(inputs, &mut recipe);
    Ok(recipe)
}

/// Whether a service with this manifest of the operator needs no repository: a database server, and containers whose images
/// are all of registries.
pub fn needs_no_repository(manifest: &Manifest) -> bool {
    data_host::is_one(manifest) || docker::is_of_a_registry(manifest) || compose::is_in_the_manifest(manifest)
}

/// Fails if the policy names archives or mirrors that no runtime has.
pub fn refuse_unknown(selection: &Selection) -> Result<()> {
    choice::refuse_unknown(ALL, selection)
}

/// Paths of the files whose text a fetch must read for any runtime.
pub fn evidence() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for path in ALL.iter().flat_map(|runtime| runtime.evidence) {
        if !all.iter().any(|known| known == path) {
            all.push((*path).to_owned());
        }
    }
    all
}

/// The programs to look for on the machine.
pub fn programs() -> Vec<&'static Places> {
    ALL.iter().flat_map(|runtime| runtime.programs).collect()
}

/// The runtimes' tables of the manifest.
pub fn tables() -> Vec<&'static Table> {
    ALL.iter().map(|runtime| &runtime.table).collect()
}

/// The image that the manifest names.
pub fn named_image(manifest: &Manifest) -> Option<&str> {
    manifest.said(docker::DOCKER.name, "image")
}

/// The dialect of the service's `.env`, for commands that have only the manifest. Node's if it names no runtime.
pub fn dialect(manifest: &Manifest) -> &'static Dialect {
    let named = manifest.runtime.as_ref();
    let named = named.and_then(|name| ALL.iter().find(|runtime| runtime.name == name));
    named.map_or(NODE.dialect, |runtime| runtime.dialect)
}

/// A line that starts a program beside the service. `node` is found through the unit's PATH, and then takes env's place.
pub fn start_line(line: &str) -> Result<Start> {
    let mut start = command::start(line, Path::new("node"))?;
    if start.argv.first().is_some_and(|program| program == "node") {
        start.argv.insert(0, "/usr/bin/env".to_owned());
    }
    Ok(start)
}

/// The programs that bootagent can install from archives.
pub fn archived() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|runtime| runtime.archives).map(|names| names.program)
}
