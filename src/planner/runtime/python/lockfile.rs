//! The file that says what is installed: a lockfile, else requirements.txt.

use super::bare;
use super::found::{Found, Kind};
use super::requirements::{self, Names};
use super::tree::is_known;
use crate::error::{Code, Error, Result};
use crate::facts::{Evidence, Source};
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::unmet::Unmet;
use crate::secret::excerpt;

/// In the order of their weight. Those below the root are for production, by their name.
const FILES: [(Kind, &str); 7] = [
    (Kind::Uv, "uv.lock"),
    (Kind::Poetry, "poetry.lock"),
    (Kind::Pdm, "pdm.lock"),
    (Kind::Pipfile, "Pipfile.lock"),
    (Kind::Requirements, "requirements.txt"),
    (Kind::Requirements, "requirements/production.txt"),
    (Kind::Requirements, "requirements/prod.txt"),
];

/// The first of them that the repository has.
pub fn first(source: &Source) -> Option<&'static str> {
    FILES.iter().map(|(_, path)| *path).find(|path| is_known(source, path))
}

/// A lockfile, else requirements.txt. Without either the manifest must say what is done.
pub fn found(inputs: &RecipeInputs, notes: &mut Vec<String>) -> Result<Option<Found>, Unmet> {
    let there: Vec<(Kind, &'static str)> =
        FILES.into_iter().filter(|(_, path)| is_known(inputs.source, path)).collect();
    let own = inputs.manifest.install.is_some();
    let locks: Vec<&str> =
        there.iter().filter(|(kind, _)| *kind != Kind::Requirements).map(|(_, path)| *path).collect();
    if locks.len() > 1 && !own {
        let cause = format!("{} each say what is to be installed", locks.join(" and "));
        return Err(Error::new(Code::ManifestInvalid, "planning the installation of packages", cause)
            .remedy("keep the one that is up to date and remove the others, or name the commands with install = [...] in bootagent.toml")
            .into());
    }
    let Some((kind, path)) = there.first().copied() else {
        if own {
            return Ok(None);
        }
        if let Some(path) = bare::shown_by(inputs) {
            let why = match path {
                "pyproject.toml" => "pyproject.toml has no dependencies",
                _ => "the repository has no list of them",
            };
            notes.push(format!("no packages are installed: {why}"));
            return Ok(Some(Found { kind: Kind::Nothing, path, names: Some(Names::new()) }));
        }
        return Err(missing(inputs.source).into());
    };
    let names = match (kind, inputs.source.evidence_of(path)) {
        (Kind::Requirements, _) if own => None,
        (Kind::Requirements, _) => Some(requirements::read(inputs, path, notes)?),
        (Kind::Pipfile, Evidence::Text(text)) => Some(requirements::of_pipfile_lock(text)),
        (_, Evidence::Text(text)) => Some(requirements::of_lock(text)),
        _ => None,
    };
    Ok(Some(Found { kind, path, names }))
}

/// The remedy is the command of the tool with which the repository is kept.
fn missing(source: &Source) -> Error {
    let pyproject = source.text("pyproject.toml").unwrap_or_default();
    let writes = if source.has("Pipfile") {
        "pipenv lock"
    } else if pyproject.contains("[tool.poetry") {
        "poetry lock"
    } else if pyproject.contains("[tool.pdm") {
        "pdm lock"
    } else {
        "uv lock"
    };
    let cause = "there is no uv.lock, poetry.lock, pdm.lock, Pipfile.lock or requirements.txt";
    let error = Error::new(Code::LockfileMissing, "planning the installation of packages", cause);
    let is_list = |path: &&str| path.starts_with("requirements/") && path.ends_with(".txt");
    if let Some(list) = source.entries.iter().map(|entry| entry.path.as_str()).find(is_list) {
        return error.remedy(format!(
            "commit a requirements.txt with the line -r {}, or the file of requirements/ that production installs",
            excerpt(list)
        ));
    }
    error.remedy(format!(
        "commit one: {writes}, or pip freeze > requirements.txt, writes it; or say what is done with install = [...] in bootagent.toml"
    ))
}
