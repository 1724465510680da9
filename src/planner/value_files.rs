//! The files of `env.files`: their texts, what stands in their way, and the steps that link them into the release.

use super::Wanted;
use super::draft::Draft;
use super::env::{self, Dialect};
use super::runtime::Recipe;
use super::steps::Steps;
use crate::error::{Code, Error, Result};
use crate::facts::{EntryKind, FileFormat, ValueFile};
use crate::observe::secrets::Variables;
use crate::plan::environment::{EnvCopy, EnvFile, MADE};
use crate::secret::Sealed;

/// Fails if a file would replace a file of the repository, or be served to everyone.
pub fn refuse(wanted: &Wanted, recipe: &Recipe) -> Result<()> {
    for file in &wanted.manifest.env.files {
        let path = &file.path;
        let refused = |cause: String, remedy: &str| {
            Err(Error::new(Code::ManifestInvalid, format!("planning the file {path} of env.files"), cause)
                .remedy(remedy))
        };
        if recipe.site().is_some() {
            return refused(
                "a static site has no process that reads it, and its files are public".to_owned(),
                "remove env.files: public values belong in env.values, where the build reads them",
            );
        }
        let is_within = |outer: &str| path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        let mut programs = recipe.parts().flat_map(|part| &part.programs);
        if let Some(programs) = programs.find(|programs| is_within(packages(programs))) {
            return refused(
                format!("{programs} is where the service's packages are installed"),
                "choose another path",
            );
        }
        let in_the_way = wanted.source.entries.iter().find(|entry| {
            entry.path == *path
                || is_within(&entry.path)
                || entry.path.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
        });
        if let Some(entry) = in_the_way {
            let kind = if entry.kind == EntryKind::Symlink { "symbolic link" } else { "file" };
            return refused(
                format!("{} is a {kind} of the repository", entry.path),
                "remove it from the repository (git rm --cached), or choose another path; bootagent replaces no committed \
                 file",
            );
        }
    }
    Ok(())
}

/// The directory that an installer owns, of the directory with the packages' programs (`node_modules/.bin`).
fn packages(programs: &str) -> &str {
    programs.rsplit_once('/').map_or(programs, |(packages, _)| packages)
}

/// The text of each file. Adds the names of the variables that a file cannot contain.
pub fn render(
    files: &[ValueFile],
    variables: &Variables,
    dialect: &'static Dialect,
    header: &str,
) -> Result<Vec<(EnvFile, Sealed, Vec<String>)>> {
    let made = files.iter().zip(MADE).map(|(file, slot)| {
        let chosen = chosen(file, variables)?;
        let dialect = match file.format {
            FileFormat::Json => &env::json::JSON,
            FileFormat::Env => dialect,
        };
        let (text, left_out) = env::written(dialect, &chosen, header)?;
        Ok((slot, text, left_out))
    });
    made.collect()
}

fn chosen(file: &ValueFile, variables: &Variables) -> Result<Variables> {
    let Some(keys) = &file.keys else { return Ok(variables.clone()) };
    let missing: Vec<&str> =
        keys.iter().map(String::as_str).filter(|key| variables.get(key).is_none()).collect();
    if !missing.is_empty() {
        let (doing, missing) = (format!("making the file {} of env.files", file.path), missing.join(", "));
        return Err(Error::new(Code::SecretKeyMissing, doing, format!("no source sets {missing}")).remedy(
            format!("add {missing} to the secret, or take it out of the file's keys in bootagent.toml"),
        ));
    }
    let mut chosen = Variables::default();
    for (name, value) in variables.iter().filter(|(name, _)| keys.contains(*name)) {
        chosen.insert(name, value.clone());
    }
    Ok(chosen)
}

/// Adds the links from the release to the files.
pub fn link(steps: &mut Steps, draft: &Draft) {
    let files = &draft.wanted.manifest.env.files;
    for (file, slot) in files.iter().zip(MADE) {
        let id = format!("{}-link", slot.step);
        let target = draft.layout.env_file(EnvCopy::Serving, &slot);
        let why = format!("{} is a link to a file in memory", file.path);
        let built = steps.built();
        steps.link(&id, &why, draft.release().join(&file.path), target).after(&[&built]);
        steps.finished_by(&id);
    }
}
