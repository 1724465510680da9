//! Which runtime a commit is for: the manifest's word, else the strongest claim.

use super::below;
use super::container::DOCKERFILE;
use super::foreign;
use super::recipe::{Claim, Recipe, RecipeInputs, Runtime, Starts};
use crate::error::{Code, Error, Result};
use crate::observe::Selection;
use crate::planner::unmet::Unmet;
use crate::secret::excerpt;

/// All that there are, in the order in which errors name them.
type All = [&'static Runtime];

pub fn recipe(all: &All, inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    let named = inputs.manifest.runtime.as_ref();
    let runtime = match named.and_then(|name| all.iter().find(|runtime| runtime.name == name).copied()) {
        Some(runtime) => runtime,
        None => detected(all, inputs)?,
    };
    let mut recipe = (runtime.recipe)(inputs)?;
    let is_of_containers = recipe.container().is_some() || recipe.project().is_some();
    let is_built_only = inputs.starts == Starts::Nothing;
    if named.is_none() && !is_of_containers && !is_built_only && inputs.source.has(DOCKERFILE) {
        recipe.notes.push(format!(
            "{DOCKERFILE} is not used: {} speaks for {}; to run its image, set runtime = \"docker\" in bootagent.toml",
            recipe.chosen_by, runtime.name
        ));
    }
    Ok(recipe)
}

fn detected(all: &All, inputs: &RecipeInputs) -> Result<&'static Runtime> {
    let claims = all.iter().filter_map(|runtime| Some((*runtime, (runtime.detect)(inputs.source)?)));
    let mut claims: Vec<(&'static Runtime, Claim)> = claims.collect();
    let strongest = claims.iter().map(|(_, claim)| claim.weight).max();
    claims.retain(|(_, claim)| Some(claim.weight) == strongest);
    let unknown = |cause: String| {
        Error::new(Code::RuntimeUnknown, format!("looking for a runtime in {}", inputs.source.named()), cause)
    };
    match claims.as_slice() {
        [(runtime, _)] => Ok(*runtime),
        [] => {
            let files: Vec<&str> = all.iter().flat_map(|runtime| runtime.evidence.first()).copied().collect();
            // Of Python's projects many have only these.
            let described: Vec<&str> = files.iter().copied().chain(["pyproject.toml", "manage.py"]).collect();
            let below = below::files_below(inputs.source, &described);
            let files = files.join(" or ");
            let cause = format!("there is no {files}, and no bootagent.toml that names a runtime");
            let Some(remedy) = below::remedy(inputs.source, &below) else {
                return Err(match foreign::shown(inputs.source) {
                    Some((shown, remedy)) => unknown(format!("{cause}; {shown}")).remedy(remedy),
                    None => unknown(cause),
                });
            };
            let cause = format!("{cause}; below the root is {}", excerpt(&below.join(", ")));
            Err(unknown(cause).remedy(format!("write {remedy}")))
        }
        [(first, _), ..] => {
            let each =
                claims.iter().map(|(runtime, claim)| format!("{} speaks for {}", claim.by, runtime.name));
            let names: Vec<String> =
                claims.iter().map(|(runtime, _)| format!("\"{}\"", runtime.name)).collect();
            let remedy = format!(
                "say which one it is in bootagent.toml: runtime = \"{}\" (one of {})",
                first.name,
                names.join(", ")
            );
            Err(unknown(each.collect::<Vec<_>>().join(", and ")).remedy(remedy))
        }
    }
}

/// A policy may name only archives and mirrors that there are: a slip would send a fleet to the public ones.
pub fn refuse_unknown(all: &All, selection: &Selection) -> Result<()> {
    let refused = |cause: String| Err(Error::new(Code::PolicyInvalid, "reading the policy", cause));
    let kinds: Vec<_> = all.iter().flat_map(|runtime| runtime.archives).collect();
    for (name, allowed) in &selection.archives {
        let Some(kind) = kinds.iter().find(|kind| kind.program == name) else {
            let known: Vec<&str> = kinds.iter().map(|kind| kind.program).collect();
            let name = name.escape_default();
            return refused(format!("archives.{name} is not known; known are {}", known.join(", ")));
        };
        if let Some(file) = allowed.checksums.keys().find(|file| !(kind.is_one)(file)) {
            let file = file.escape_default();
            let example = kind.example;
            return refused(format!(
                "{name}.checksums names \"{file}\", which is not an archive like {example}"
            ));
        }
    }
    let mirrors: Vec<&str> = all.iter().flat_map(|runtime| runtime.mirrors).copied().collect();
    match selection.mirrors.keys().find(|name| !mirrors.contains(&name.as_str())) {
        Some(name) => {
            let name = name.escape_default();
            refused(format!("mirrors.{name} is not known; known are {}", mirrors.join(", ")))
        }
        None => Ok(()),
    }
}
