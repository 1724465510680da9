//! The repository's own ecosystem file: read by a program as the service's user, without secrets, and held to a list before
//! anything is switched. The plan names what of it an operator would not expect.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::{EVALUATE, KILL, Runs, digest, fixed, listen};
use crate::error::{Code, Error, Result};
use crate::facts::{Supervised, Takes};
use crate::plan::{Evaluation, layout};
use crate::planner::supervisor::App;

/// What `evaluate.js` is told.
#[derive(Serialize)]
struct Task<'a> {
    file: &'a str,
    release: PathBuf,
    current: PathBuf,
    user: &'a str,
    name: &'a str,
    /// Whose `env_NAME` counts, the first one that there is.
    environments: Vec<String>,
    /// Keys that the plan names, and that may be there for that reason alone.
    named: Vec<&'static str>,
    kill_timeout: u64,
    listen_timeout: u64,
    fixed: BTreeMap<&'static str, Value>,
}

pub fn runs(app: &App, path: &str, node: &str, evaluate: &str) -> Result<Runs> {
    let (layout, wanted) = (app.layout, app.wanted);
    let text = wanted.source.text(path).unwrap_or_default();
    let named: Vec<&str> = ["cron_restart", "cron"].into_iter().filter(|key| has_word(text, key)).collect();
    let task = Task {
        file: path,
        release: app.release.to_owned(),
        current: layout.current(),
        user: layout.user(),
        name: layout.user(),
        environments: environments(wanted.selection.environment.as_str()),
        named: named.clone(),
        kill_timeout: KILL.0 * 1000,
        listen_timeout: listen(app).0 * 1000,
        fixed: fixed(),
    };
    let task = serde_json::to_string(&task)
        .map_err(|error| Error::new(Code::Bug, "planning how PM2 runs the service", error))?;
    // Told another thing, it says another: the name of what comes of it has all that it is told.
    let name = format!("ecosystem-{}.json", digest([task.as_str(), EVALUATE]));
    let (made, seen) = (PathBuf::from(".bootagent").join(&name), layout.current());
    let mut environment: BTreeMap<String, String> = app.recipe.defaults.clone();
    environment.insert("HOME".to_owned(), "/tmp".to_owned());
    environment.insert("PATH".to_owned(), app.recipe.search_path(app.release));
    let evaluation = Evaluation {
        argv: vec![node.to_owned(), evaluate.to_owned(), task],
        user: layout.user().to_owned(),
        directory: app.release.to_owned(),
        environment,
        hidden: vec![layout::RUN.into(), layout.data()],
        path: app.release.join(&made),
        unit: layout.transient("ecosystem"),
    };
    let by =
        Supervised { reads: vec![app.release.join(&made)], takes: Takes::Reload, ..Supervised::default() };
    let mut notes = vec![format!(
        "PM2 runs what {path} says: read as {}, without secrets, and held to a list before anything is switched",
        layout.user()
    )];
    if !named.is_empty() {
        notes.push(format!("{path} says {}: PM2 restarts a process by that clock", named.join(" and ")));
    }
    let evaluations = vec![("ecosystem".to_owned(), evaluation)];
    Ok(Runs { started: seen.join(&made), by, evaluations, notes })
}

/// Under its own name, and those that PM2's users give it.
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

/// Whether a word stands in a text, and not only within another one.
pub fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_letter) && !text[at + word.len()..].starts_with(is_letter))
}
