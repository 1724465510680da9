//! What a plan is made of: what is wanted, and the draft, which is what the planner makes of it before it adds any step.
//! Every chapter of a plan reads the draft.

use std::path::Path;

use super::runtime::Recipe;
use super::supervisor;
use crate::facts::{Facts, Generation, Source};
use crate::observe::Selection;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Variables;
use crate::plan::layout::Layout;
use crate::plan::{Rendering, Setting};

/// All that a plan is made of.
pub struct Wanted<'a> {
    pub facts: &'a Facts,
    pub selection: &'a Selection,
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub manifest_from: &'a Setting,
    /// Absent when the manifest says that the service has no secret.
    pub secret: Option<&'a Variables>,
    /// The environment of the last healthy deployment, while this boot still has it.
    pub good_environment: Option<&'a Rendering>,
}

pub struct Draft<'a> {
    pub wanted: &'a Wanted<'a>,
    pub layout: Layout,
    pub recipe: Recipe,
    /// What the service finds in its environment.
    pub variables: Variables,
    /// The same, in the dialects of its readers.
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

    /// Where each setting came from: those that select first, then those that depend on what was selected.
    pub fn settings(&self) -> Vec<Setting> {
        let runtime = Setting {
            name: "runtime".to_owned(),
            value: self.recipe.runtime.clone(),
            origin: self.recipe.chosen_by.clone(),
        };
        let Wanted { selection, manifest_from, .. } = self.wanted;
        selection.settings.iter().cloned().chain([(*manifest_from).clone(), runtime]).collect()
    }
}
