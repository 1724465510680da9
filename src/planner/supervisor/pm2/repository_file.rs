//! An ecosystem file of the repository. It may contain code, so `evaluate.js` evaluates it as the service's user,
//! without secrets, and allows only known settings, before the switch. Its output is the file that PM2 is started
//! with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::{EVALUATE, KILL, Runs, digest, fixed, listen};
use crate::error::{Code, Error, Result};
use crate::facts::{Supervised, Takes};
use crate::plan::{Evaluation, layout};
use crate::planner::supervisor::App;

/// The argument of `evaluate.js`, as JSON.
#[derive(Serialize)]
struct Task<'a> {
    file: &'a str,
    release: PathBuf,
    current: PathBuf,
    user: &'a str,
    name: &'a str,
    /// The first of these with a key `env_NAME` in the file is used.
    environments: Vec<String>,
    /// Keys for scheduled restarts. They are allowed only because the plan has a note on them.
    named: Vec<&'static str>,
    kill_timeout: u64,
    listen_timeout: u64,
    /// Of one app, as the policy allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_instances: Option<u16>,
    fixed: BTreeMap<&'static str, Value>,
}

/// The evaluation of the file at `path` of the release. `node` and `evaluate` are the paths of the program and its
/// script.
pub fn runs(app: &App, path: &str, node: &str, evaluate: &str) -> Result<Runs> {
    let (layout, wanted) = (app.layout, app.wanted);
    let text = wanted.source.text(path).unwrap_or_default();
    let named: Vec<&str> = ["cron_restart", "cron"].into_iter().filter(|key| has_word(text, key)).collect();
    let task = Task {
        file: path,
        release: app.recipe.tree(app.release),
        current: app.recipe.tree(&layout.current()),
        user: layout.user(),
        name: layout.user(),
        environments: environments(wanted.selection.environment.as_str()),
        named: named.clone(),
        kill_timeout: KILL.0 * 1000,
        listen_timeout: listen(app).0 * 1000,
        most_instances: wanted.selection.limits.instances,
        fixed: fixed(),
    };
    let task = serde_json::to_string(&task)
        .map_err(|error| Error::new(Code::Bug, "planning how PM2 runs the service", error))?;
    // The output's name depends on all input, so that a release evaluates again when the input changes.
    let name = format!("ecosystem-{}.json", digest([task.as_str(), EVALUATE]));
    let (made, seen) = (PathBuf::from(".bootagent").join(&name), layout.current());
    let mut environment: BTreeMap<String, String> = app.recipe.defaults.clone();
    environment.insert("HOME".to_owned(), "/tmp".to_owned());
    environment.insert("PATH".to_owned(), app.recipe.search_path(app.release));
    let evaluation = Evaluation {
        file: path.to_owned(),
        argv: vec![node.to_owned(), evaluate.to_owned(), task],
        user: layout.user().to_owned(),
        directory: app.recipe.tree(app.release),
        environment,
        hidden: vec![layout::RUN.into(), layout.data()],
        path: app.release.join(&made),
        unit: layout.transient("ecosystem"),
    };
    let by =
        Supervised { reads: vec![app.release.join(&made)], takes: Takes::Reload, ..Supervised::default() };
    let mut notes = vec![format!(
        "PM2 runs the processes of {path}, which is evaluated as {}, without secrets, and checked before the switch",
        layout.user()
    )];
    if !named.is_empty() {
        notes.push(format!("{path} has {}: PM2 restarts a process at these times", named.join(" and ")));
    }
    let evaluations = vec![("ecosystem".to_owned(), evaluation)];
    Ok(Runs { started: seen.join(&made), by, evaluations, notes })
}

/// Names of an environment in keys like `env_production`: its own, and the usual ones for the same stage.
pub fn environments(environment: &str) -> Vec<String> {
    let also: &[&str] = match environment {
        "prod" | "production" => &["production", "prod"],
        "stage" | "staging" => &["staging", "stage"],
        _ => &[],
    };
    let mut all = vec![environment.to_owned()];
    all.extend(also.iter().map(|name| (*name).to_owned()).filter(|name| name != environment));
    all
}

/// Whether a text contains a word, and not only as part of a longer one.
pub fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_letter) && !text[at + word.len()..].starts_with(is_letter))
}
