//! The inputs of a plan, and the draft that the planner makes of them. All modules that add steps read the draft. Data only.

use std::path::Path;

use super::runtime::Recipe;
use super::{supervisor, values};
use crate::facts::{Facts, Generation, Source};
use crate::observe::Selection;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::{Collected, Variables};
use crate::plan::layout::Layout;
use crate::plan::{Rendering, Setting};

/// The inputs of a plan.
pub struct Wanted<'a> {
    pub facts: &'a Facts,
    pub selection: &'a Selection,
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub manifest_from: &'a Setting,
    /// The variables of all its sources. `None` if the manifest says that the service has no secret, and names no other
    /// source.
    pub secret: Option<&'a Variables>,
    /// The same with its origins.
    pub values: Option<&'a Collected>,
    /// The environment of the last healthy deployment. `None` after a reboot: it is kept on tmpfs only.
    pub good_environment: Option<&'a Rendering>,
}

/// What the planner makes of the inputs before it adds any step.
pub struct Draft<'a> {
    pub wanted: &'a Wanted<'a>,
    pub layout: Layout,
    pub recipe: Recipe,
    /// The variables of the service.
    pub variables: Variables,
    /// Those of them that no message may show: the secret's, and what is composed of them.
    pub confidential: Variables,
    /// The texts of its environment files.
    pub rendering: Rendering,
    pub service: supervisor::Service,
    pub generation: Generation,
    /// What an operator should know before the plan runs.
    pub notes: Vec<String>,
}

impl Draft<'_> {
    pub fn release(&self) -> &Path {
        &self.generation.release
    }

    /// Each setting with its origin: first those of the selection, then those that depend on them.
    pub fn settings(&self) -> Vec<Setting> {
        let runtime = Setting {
            name: "runtime".to_owned(),
            value: self.recipe.runtime.clone(),
            origin: self.recipe.chosen_by.clone(),
        };
        let directory = self.recipe.directory.path().map(|path| Setting {
            name: "directory".to_owned(),
            value: path.to_owned(),
            origin: "directory in bootagent.toml".to_owned(),
        });
        let Wanted { selection, manifest_from, .. } = self.wanted;
        let signer = self.wanted.source.signed_by.as_ref().map(|signer| Setting {
            name: "signed by".to_owned(),
            value: signer.clone(),
            origin: "git.signers in the policy".to_owned(),
        });
        selection
            .settings
            .iter()
            .cloned()
            .chain([(*manifest_from).clone()])
            .chain(directory)
            .chain([runtime])
            .chain(self.recipe.first.iter().map(built_first))
            .chain(signer)
            .chain(values::settings(self.wanted))
            .chain(self.recipe.settings.iter().cloned())
            .collect()
    }
}

/// A directory that is built before the service, and by what: `web with node 22.14.0, npm`.
fn built_first(part: &Recipe) -> Setting {
    let manager = part.settings.iter().find(|setting| setting.name == "packages");
    let manager = manager.map(|setting| format!(", {}", setting.value)).unwrap_or_default();
    let directory = part.directory.path().unwrap_or(".");
    Setting {
        name: "built first".to_owned(),
        value: format!("{directory} with {}{manager}", part.runtime),
        origin: format!("build_first in bootagent.toml; {}", part.chosen_by),
    }
}
