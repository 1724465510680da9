//! Steps that write the environment's files, in each of its copies. The texts come from `env`.

use super::draft::Draft;
use super::env;
use super::steps::Steps;
use super::{Wanted, before_serving, header, value_files};
use crate::error::Result;
use crate::observe::secrets::Variables;
use crate::plan::environment::{EnvCopy, EnvFile, FILES, MADE};
use crate::plan::layout::Layout;
use crate::plan::{Action, Owner, Rendering};

use super::runtime::Recipe;

/// Renders the environment's files. Adds a note with the variables that `.env` cannot have.
pub fn render(
    wanted: &Wanted,
    recipe: &Recipe,
    variables: &Variables,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<Rendering> {
    let dialect = recipe.dotenv(wanted.manifest);
    let header = header(layout);
    let (mut rendering, left_out) = env::render(variables, dialect, &header)?;
    let files = &wanted.manifest.env.files;
    let made = value_files::render(files, variables, recipe.dotenv, &header)?;
    for ((slot, text, left_out), file) in made.into_iter().zip(files) {
        rendering.add(slot, text);
        if !left_out.is_empty() {
            let (path, left_out) = (&file.path, left_out.join(", "));
            notes.push(format!("not in {path}, because its readers would change the values: {left_out}"));
        }
    }
    if !left_out.is_empty() {
        notes.push(format!(
            "only in the process environment, because readers of .env would change the values: {}",
            left_out.join(", ")
        ));
    }
    Ok(rendering)
}

/// A copy of the environment, and how the steps that write it are called.
pub struct Purpose {
    copy: EnvCopy,
    /// Prefix and suffix of the steps' ids.
    before: &'static str,
    after: &'static str,
    /// Used instead of each file's `why`.
    why: Option<&'static str>,
}

/// Written only after build, migration and candidate: until then systemd may restart the previous deployment, which
/// must find its own environment.
const SERVING: Purpose = Purpose { copy: EnvCopy::Serving, before: "", after: "", why: None };
/// A copy for the recovery: without it the old release would be started with the new values.
pub const GOOD: Purpose = Purpose {
    copy: EnvCopy::Good,
    before: "good-",
    after: "",
    why: Some("the environment to go back to if a later deployment fails"),
};
/// Written by a recovery: the environment is on tmpfs, so that after a reboot it does not exist yet.
pub const BACK: Purpose =
    Purpose { copy: EnvCopy::Serving, before: "", after: "-back", why: Some("the last healthy deployment") };
pub const CANDIDATE: Purpose =
    Purpose { copy: EnvCopy::Candidate, before: "candidate-", after: "", why: None };

/// Adds the steps that write the environment of the deployment that is about to serve.
pub fn write_serving(steps: &mut Steps, draft: &Draft) {
    let prepared = before_serving(steps);
    write(steps, &SERVING, &draft.rendering, &["run", prepared], &draft.layout);
    let change = (draft.wanted.good_environment, &draft.rendering);
    remove_made(steps, &SERVING, change, &["run", prepared], &draft.layout);
}

/// Adds steps that remove the files of `env.files` that the `old` deployment had and the `new` one does not have. Returns
/// their ids.
pub fn remove_made(
    steps: &mut Steps,
    purpose: &Purpose,
    (old, new): (Option<&Rendering>, &Rendering),
    needs: &[&str],
    layout: &Layout,
) -> Vec<String> {
    let is_left =
        |file: &EnvFile| new.text(file).is_none() && old.is_some_and(|old| old.text(file).is_some());
    let mut ids = Vec::new();
    for file in MADE.into_iter().filter(is_left) {
        let id = format!("{}{}{}", purpose.before, file.step, purpose.after);
        let why = "a file of env.files of the other deployment, which this one does not have";
        let path = layout.env_file(purpose.copy, &file);
        steps.add(&id, why, Action::RemoveFile { path }).after(needs);
        ids.push(id);
    }
    ids
}

/// Adds one step for each file. Returns their ids.
pub fn write(
    steps: &mut Steps,
    purpose: &Purpose,
    rendering: &Rendering,
    needs: &[&str],
    layout: &Layout,
) -> Vec<String> {
    let mut ids = Vec::new();
    let made = MADE.into_iter().filter(|file| rendering.text(file).is_some());
    for file in FILES.into_iter().chain(made) {
        let id = format!("{}{}{}", purpose.before, file.step, purpose.after);
        let path = layout.env_file(purpose.copy, &file);
        let is_good = purpose.copy == EnvCopy::Good;
        match rendering.text(&file) {
            Some(text) => {
                let why = match purpose.copy == EnvCopy::Candidate && !file.is_shared {
                    true => "the service's environment, with another PORT",
                    false => purpose.why.unwrap_or(file.why),
                };
                let (owner, mode) = match is_good {
                    true => (Owner::root(), 0o600),
                    false => (file.owner(layout.service()), file.mode),
                };
                steps.sealed(&id, why, path, text.clone(), owner, mode).after(needs);
            }
            // A candidate's directory is new, so there is nothing to remove.
            None if purpose.copy == EnvCopy::Candidate => continue,
            None => {
                let why = "this deployment has no .env; the previous one's is removed";
                steps.add(&id, why, Action::RemoveFile { path }).after(needs);
            }
        }
        ids.push(id);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Service;
    use crate::secret::Sealed;

    #[test]
    fn files_that_the_new_deployment_does_not_have_are_removed() {
        let sealed = || Sealed::new(vec!["A".to_owned()], "A=1\n");
        let with = |files: &[EnvFile]| {
            Rendering::new(sealed(), files.iter().map(|file| (*file, sealed())).collect())
        };
        let layout = Layout::new(&Service::try_from("auth").unwrap());
        let removed = |old: Option<&Rendering>, new: &Rendering| {
            let mut steps = Steps::default();
            let ids = remove_made(&mut steps, &GOOD, (old, new), &["health-check"], &layout);
            let steps = steps.finish();
            assert!(steps.iter().all(|step| matches!(step.action, Action::RemoveFile { .. })));
            ids
        };
        let (both, first) = (with(&MADE[..2]), with(&MADE[..1]));
        assert_eq!(removed(Some(&both), &first), ["good-file-2"]);
        assert_eq!(removed(Some(&both), &with(&[])), ["good-file-1", "good-file-2"]);
        assert!(removed(Some(&first), &both).is_empty());
        assert!(removed(None, &first).is_empty());
    }
}
