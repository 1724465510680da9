//! What a boot would do with a working tree, what is unusual about it, and which lines of bootagent.toml would make it
//! better. Pure, and without knowledge of a machine, an instance or a secret: `bootagent validate` and `init` show it.

mod advice;
mod asked;
mod command;
mod described;
mod health;
mod start;
mod tree;
mod warning;
mod warnings;
mod written;

use std::collections::BTreeSet;

use serde::Serialize;

use super::runtime::{self, Recipe, RecipeInputs};
use super::unmet::Unmet;
use super::{candidate, directory, persist, proxy, supervisor, writable};
use crate::error::{Code, Error};
use crate::facts::{Environment, Facts, Installed, Places, Service, Source, Uncommitted};
use crate::observe::manifest::{self as manifests, Manifest};
use crate::plan::Setting;
use crate::plan::layout::Layout;
use crate::secret::{ForeignText, Redaction};

pub use advice::Advice;
pub use warning::Warning;
pub use written::{manifest, table};

/// A working tree, and what of it is not committed.
pub struct Tree<'a> {
    pub source: &'a Source,
    /// The text of bootagent.toml.
    pub manifest: Option<&'a str>,
    /// None if git cannot tell.
    pub uncommitted: Option<&'a Uncommitted>,
}

/// The result for all environments.
#[derive(Debug)]
pub struct Lint {
    pub every: Judged,
    /// What differs in the environments that have a table of their own in the manifest.
    pub environments: Vec<(Environment, Judged)>,
    /// Lines for bootagent.toml, the most useful first.
    pub advice: Vec<Advice>,
    /// The line that would start the same from bootagent.toml. None: a file of the supervisor names what is started, or
    /// nothing is.
    pub start: Option<String>,
}

/// The result for one environment.
#[derive(Debug, Default, Serialize)]
pub struct Judged {
    /// What is installed, built, started and asked, each with the convention or key that chose it.
    pub plan: Vec<Setting>,
    pub warnings: Vec<Warning>,
    /// What is worth knowing and needs no change.
    pub notes: Vec<String>,
}

/// One environment of the tree.
struct Subject<'a> {
    tree: &'a Tree<'a>,
    manifest: &'a Manifest,
    recipe: &'a Recipe,
    /// The start command as a person would type it; empty if a file of the supervisor names what is started.
    line: String,
}

impl Lint {
    /// The number of warnings in all environments.
    pub fn warnings(&self) -> usize {
        self.every.warnings.len()
            + self.environments.iter().map(|(_, judged)| judged.warnings.len()).sum::<usize>()
    }
}

/// The error is one with which a boot would end, too.
pub fn lint(tree: &Tree) -> Result<Lint, Unmet> {
    let parsed = |environment: Option<&Environment>| match tree.manifest {
        Some(text) => Manifest::parse(MANIFEST, text, environment, &runtime::tables()),
        None => Ok(Manifest::default()),
    };
    let manifest = parsed(None)?;
    let (every, advice, start) = judge(tree, &manifest)?;
    let mut environments = Vec::new();
    let names: BTreeSet<Environment> =
        tree.manifest.map(manifests::environments).unwrap_or_default().into_iter().collect();
    for name in names {
        let (judged, ..) = judge(tree, &parsed(Some(&name))?)?;
        environments.push((name, judged.without(&every)));
    }
    Ok(Lint { every, environments, advice, start })
}

const MANIFEST: &str = "bootagent.toml";

impl Judged {
    /// What differs from the result for every environment.
    fn without(self, every: &Judged) -> Judged {
        Judged {
            plan: self.plan.into_iter().filter(|line| !every.plan.contains(line)).collect(),
            warnings: self.warnings.into_iter().filter(|warning| !every.warnings.contains(warning)).collect(),
            notes: self.notes.into_iter().filter(|note| !every.notes.contains(note)).collect(),
        }
    }
}

fn judge(tree: &Tree, manifest: &Manifest) -> Result<(Judged, Vec<Advice>, Option<String>), Unmet> {
    let source = directory::seen(tree.source, manifest)?;
    let tree = &Tree { source: &source, ..*tree };
    let recipe = recipe(tree.source, manifest)?;
    let line = match supervisor::starts(tree.source, manifest) {
        true => String::new(),
        false => command::started(&recipe.start),
    };
    let subject = Subject { tree, manifest, recipe: &recipe, line };
    let (warnings, notes) = warnings::warnings(&subject);
    let judged = Judged { plan: described::plan(&subject)?, warnings, notes };
    let start = recipe.start.written.clone().filter(|_| !subject.line.is_empty());
    Ok((judged, advice::advice(&subject), start))
}

/// The recipe as far as it does not depend on the machine. Refuses what a boot refuses.
fn recipe(source: &Source, manifest: &Manifest) -> Result<Recipe, Unmet> {
    let service = Service::try_from("service").map_err(|error| Error::new(Code::Bug, "validating", error))?;
    let recipe = runtime::recipe(&RecipeInputs {
        source,
        manifest,
        facts: &any_machine(),
        archives: &Default::default(),
        mirrors: &Default::default(),
        packages: &Default::default(),
        network: &Default::default(),
        requires_lockfile: manifest.lockfile.unwrap_or(true),
        npm_installs: false,
        layout: &Layout::new(&service),
        starts: runtime::Starts::of(supervisor::starts(source, manifest)),
    })?;
    persist::refuse(source, manifest, &recipe)?;
    writable::refuse(source, manifest, &recipe)?;
    (supervisor::of(manifest, &recipe).refuse)(source, manifest, &recipe)?;
    proxy::refuse(manifest, &recipe)?;
    candidate::refuse(manifest.candidate_port, manifest.port, &recipe.start)?;
    Ok(recipe)
}

/// A machine that has each version that a repository may require, with made-up paths: `/node/bin/node`.
fn any_machine() -> Facts {
    let any = |places: &&Places| {
        let installed = Installed {
            version: runtime::ANY_VERSION.to_owned(),
            program: format!("/{0}/bin/{0}", places.program).into(),
            beside: places.beside.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        (places.program.to_owned(), vec![installed])
    };
    Facts { programs: runtime::programs().iter().map(any).collect(), ..Facts::default() }
}

/// Text of the repository in one line, without terminal sequences.
fn plain(text: &str) -> String {
    ForeignText::message(text).shown(&Redaction::default())
}

#[cfg(test)]
mod tests;
