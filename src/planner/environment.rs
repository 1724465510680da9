//! The steps that write an environment: every file of the list, in the place that its purpose has.

use super::draft::Draft;
use super::env;
use super::steps::Steps;
use super::{Wanted, before_serving, header};
use crate::error::Result;
use crate::observe::secrets::Variables;
use crate::plan::environment::{EnvCopy, FILES};
use crate::plan::layout::Layout;
use crate::plan::{Action, Owner, Rendering};

use super::runtime::Recipe;

/// The environment in the dialects of its readers.
pub fn render(
    wanted: &Wanted,
    recipe: &Recipe,
    variables: &Variables,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<Rendering> {
    let dialect = wanted.manifest.env.file.then_some(recipe.dotenv);
    let (rendering, left_out) = env::render(variables, dialect, &header(layout))?;
    if !left_out.is_empty() {
        notes.push(format!(
            "not in .env, whose reader would change them, but in the process environment: {}",
            left_out.join(", ")
        ));
    }
    Ok(rendering)
}

/// What a copy of the environment is written for, in the words of its steps.
pub struct Purpose {
    copy: EnvCopy,
    before: &'static str,
    after: &'static str,
    /// Instead of each file's own reason.
    why: Option<&'static str>,
}

/// Written only when the release is whole, migrated, and proved as a candidate: until then the former generation runs,
/// and may be restarted.
const SERVING: Purpose = Purpose { copy: EnvCopy::Serving, before: "", after: "", why: None };
/// As long as the boot lasts: going back must not mean the old release with the new values.
pub const GOOD: Purpose = Purpose {
    copy: EnvCopy::Good,
    before: "good-",
    after: "",
    why: Some("the environment to go back to if a later deployment fails"),
};
/// After a reboot it is not there yet.
pub const BACK: Purpose =
    Purpose { copy: EnvCopy::Serving, before: "", after: "-back", why: Some("the last healthy deployment") };
pub const CANDIDATE: Purpose =
    Purpose { copy: EnvCopy::Candidate, before: "candidate-", after: "", why: None };

/// Of the deployment that is about to serve.
pub fn write_serving(steps: &mut Steps, draft: &Draft) {
    let whole = before_serving(steps);
    write(steps, &SERVING, &draft.rendering, &["run", whole], &draft.layout);
}

/// One step for each file; their ids.
pub fn write(
    steps: &mut Steps,
    purpose: &Purpose,
    rendering: &Rendering,
    needs: &[&str],
    layout: &Layout,
) -> Vec<String> {
    let mut ids = Vec::new();
    for file in FILES {
        let id = format!("{}{}{}", purpose.before, file.step, purpose.after);
        let path = layout.env_file(purpose.copy, &file);
        let is_good = purpose.copy == EnvCopy::Good;
        match rendering.text(&file) {
            Some(text) => {
                let why = match purpose.copy == EnvCopy::Candidate && !file.is_shared {
                    true => "the service's environment, but for PORT",
                    false => purpose.why.unwrap_or(file.why),
                };
                let (owner, mode) = match is_good {
                    true => (Owner::root(), 0o600),
                    false => (file.owner(layout.service()), file.mode),
                };
                steps.sealed(&id, why, path, text.clone(), owner, mode).after(needs);
            }
            // A candidate's directory is a new one.
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
