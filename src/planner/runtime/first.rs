//! Directories of the repository that are installed and built before the service (`build_first` of the manifest), each by
//! the recipe of its own runtime, as if it were the root. Nothing of them is started, and no secret reaches them. Pure.

use std::collections::BTreeSet;

use super::choice;
use super::node::NODE;
use super::python::PYTHON;
use super::recipe::{Kind, Need, Recipe, RecipeInputs, Runtime, Starts};
use super::root_install::is_removal;
use super::static_site::STATIC;
use crate::error::{Code, Error, Result};
use crate::fault::Phase;
use crate::observe::manifest::{BuildFirst, EnvWish, Manifest};
use crate::planner::unmet::Unmet;

/// The runtimes that build something in a release. Docker builds images.
const BUILT: [&Runtime; 3] = [&NODE, &PYTHON, &STATIC];

/// The recipes, in the order of the manifest. `service` is the recipe of the service itself.
pub fn recipes(inputs: &RecipeInputs, service: &Recipe) -> Result<Vec<Recipe>, Unmet> {
    let all = &inputs.manifest.build_first;
    if !all.is_empty() && !matches!(service.kind, Kind::Program | Kind::Site(_)) {
        let cause = format!(
            "build_first builds in the release, and runtime = \"{}\" runs nothing of it",
            service.of.name
        );
        return Err(Error::new(Code::ManifestInvalid, "planning the directories of build_first", cause)
            .remedy("remove build_first from bootagent.toml; the Dockerfile of an image builds what belongs into it")
            .into());
    }
    let mut recipes: Vec<Recipe> = Vec::new();
    for first in all {
        let recipe = recipe(inputs, first, service)?;
        let names: BTreeSet<String> = names(&recipes).map(str::to_owned).collect();
        recipes.push(named(recipe, &first.directory, &names));
    }
    Ok(recipes)
}

fn names(recipes: &[Recipe]) -> impl Iterator<Item = &str> {
    recipes.iter().flat_map(|recipe| &recipe.work).map(|work| work.name.as_str())
}

fn recipe(inputs: &RecipeInputs, first: &BuildFirst, service: &Recipe) -> Result<Recipe, Unmet> {
    let directory = first.directory.as_str();
    let source = inputs.source.whole().seen_from(directory);
    if first.runtime.is_none() && BUILT.iter().all(|runtime| (runtime.detect)(&source).is_none()) {
        let remedy = format!(
            "correct build_first; what needs neither Node nor Python belongs in the service's own build: \
             build = [\"cd {directory} && make\"]"
        );
        let cause = "it has no package.json, and no file that is Python's or a site's";
        return Err(nothing(directory, cause).remedy(remedy).into());
    }
    let manifest = manifest(inputs.manifest, first);
    let of = RecipeInputs { source: &source, manifest: &manifest, starts: Starts::Nothing, ..*inputs };
    let mut recipe = choice::recipe(&BUILT, &of).map_err(|unmet| match unmet {
        Unmet::Error(error) => Unmet::Error(error.with_note(&format!("in {directory}, of build_first"))),
        ask => ask,
    })?;
    // The service's own installation replaces the packages of a workspace's root again.
    if service.work.iter().any(|work| work.phase == Phase::Install && service.runs_in_the_root(work)) {
        let of_the_root = recipe.directory.of_the_root.clone();
        recipe.work.retain(|work| !is_removal(work) || !of_the_root.contains(&work.name));
    }
    if recipe.work.iter().all(is_removal) {
        let remedy = format!(
            "remove {directory} from build_first, or name its commands: \
             {{ directory = \"{directory}\", build = \"...\" }}"
        );
        let cause = format!("as {} it has neither dependencies nor a build", recipe.of.name);
        return Err(nothing(directory, &cause).remedy(remedy).into());
    }
    // What serves a site serves the service's own, or none.
    recipe.needs.retain(|need| !matches!((&recipe.kind, need), (Kind::Site(_), Need::Packages(_))));
    recipe.notes.iter_mut().for_each(|note| *note = format!("{directory}: {note}"));
    Ok(recipe.moved(Some(directory)))
}

fn nothing(directory: &str, why: &str) -> Error {
    let doing = format!("planning {directory} (build_first in bootagent.toml)");
    Error::new(Code::ManifestInvalid, doing, format!("there is nothing to install or build: {why}"))
}

/// What the manifest says about this directory: its own keys, versions, and the public values that a build may read.
fn manifest(of: &Manifest, first: &BuildFirst) -> Manifest {
    let is_version = |name: &&String| [NODE.name, PYTHON.name].contains(&name.as_str());
    let tables = of.tables.iter().filter(|(name, _)| is_version(name));
    Manifest {
        runtime: first.runtime.clone(),
        install: first.install.clone(),
        build: first.build.clone(),
        lockfile: of.lockfile,
        tables: tables.map(|(name, table)| (name.clone(), table.clone())).collect(),
        env: EnvWish { values: of.env.values.clone(), ..EnvWish::default() },
        ..Manifest::default()
    }
}

/// Characters of a directory in the name of a command, which becomes part of a unit's name.
const LONGEST_NAME: usize = 40;

/// With names and reasons that tell its commands from those of other directories. `taken` are theirs.
fn named(mut recipe: Recipe, directory: &str, taken: &BTreeSet<String>) -> Recipe {
    let slug: String = directory.replace('/', "-").chars().take(LONGEST_NAME).collect();
    let free = |name: &str| {
        let numbered = (2..).map(|number| format!("in-{slug}-{number}-{name}"));
        let mut all = std::iter::once(format!("in-{slug}-{name}")).chain(numbered);
        all.find(|name| !taken.contains(name)).unwrap_or_default()
    };
    let of_the_root = std::mem::take(&mut recipe.directory.of_the_root);
    for work in &mut recipe.work {
        let name = free(&work.name);
        if of_the_root.contains(&work.name) {
            recipe.directory.of_the_root.insert(name.clone());
        }
        (work.name, work.why) = (name, format!("{directory}: {}", work.why));
    }
    recipe
}

#[cfg(test)]
mod tests {
    use super::super::recipe::Work;
    use super::*;

    fn named_after(directories: &[&str]) -> Vec<String> {
        let mut all: Vec<Recipe> = Vec::new();
        for directory in directories {
            let mut recipe = Recipe::new(&NODE, Kind::Program);
            for name in ["install", "build"] {
                let (name, phase) = (name.to_owned(), Phase::Install);
                let (why, argv, line) = (String::new(), Vec::new(), String::new());
                recipe.work.push(Work { name, why, argv, line, phase, own_installer: None });
            }
            let taken = names(&all).map(str::to_owned).collect();
            all.push(named(recipe, directory, &taken));
        }
        names(&all).map(str::to_owned).collect()
    }

    #[test]
    fn commands_of_directories_have_names_of_their_own() {
        assert_eq!(named_after(&["apps/web"]), ["in-apps-web-install", "in-apps-web-build"]);
        let alike = ["a/b", "a-b-2", "a-b-3", "a-b", "a/b-2", &"x/".repeat(200), &"x-".repeat(201)];
        let all = named_after(&alike);
        let different: BTreeSet<&String> = all.iter().collect();
        assert_eq!((all.len(), different.len()), (14, 14), "{all:?}");
        assert!(all.iter().all(|name| name.len() < 64), "{all:?}");
    }
}
