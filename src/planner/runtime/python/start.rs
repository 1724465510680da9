//! How the service starts: the manifest, a Procfile, else a server for the application that its source has, else the
//! program itself.

use super::application;
use super::found::Found;
use super::server::{self, DOING, serve};
use super::tree::{SRC, is_known};
use super::{objects, scripts};
use crate::error::{Code, Error, Result};
use crate::facts::{Evidence, Source};
use crate::planner::runtime::command::{self, Start};
use crate::planner::runtime::procfile;
use crate::planner::runtime::recipe::{RecipeInputs, Starts};
use crate::planner::runtime::{below, image_start};
use crate::planner::unmet::{Unmet, require_texts};

/// Programs at the root, as they are called by convention.
pub const PROGRAMS: [&str; 7] =
    ["main.py", "bot.py", "worker.py", "app.py", "start.py", "server.py", "run.py"];

pub fn start(inputs: &RecipeInputs, found: Option<&Found>, notes: &mut Vec<String>) -> Result<Start, Unmet> {
    if inputs.starts == Starts::Nothing {
        return Ok(Start::none());
    }
    if let Some(line) = written(inputs, notes)? {
        return Ok(started(&line)?);
    }
    // A command that the project installs says more than a name in `src`, which may be its command line.
    let script = scripts::only(inputs.source, found);
    let application = application::find(inputs.source)?;
    let application = application.filter(|found| found.below.is_none() || script.is_none());
    if application.is_none()
        && let Some(line) = server::of_an_interface(inputs.source, found)
    {
        return Ok(started(&line)?);
    }
    let served = application.as_ref().map(|application| serve(application, found));
    let shows = if served.is_some() { objects::is_program } else { objects::is_script };
    match (served, program(inputs.source, shows, script.is_none())?) {
        (Some(Ok(line)), _) => Ok(started(&line)?),
        (Some(Err(error)), None) => Err(error.into()),
        (Some(Err(_)), Some(path)) => {
            notes.push(format!("{path} is started as a program: no server (gunicorn, uvicorn) is among the dependencies"));
            Ok(started(&format!("python {path}"))?)
        }
        (None, Some(path)) => Ok(started(&server::of_a_program(&path, found))?),
        (None, None) if let Some(script) = script => Ok(started(&script)?),
        (None, None) if let Some(line) = application::package_that_runs(inputs.source)? => {
            Ok(started(&line)?)
        }
        (None, None) if scripts::has_some(inputs.source) => Err(Error::new(
            Code::ManifestInvalid,
            DOING,
            "no module of the repository shows an application, and [project.scripts] counts only with uv.lock, a \
             [build-system], and one command or one of the project's name",
        )
        .remedy("add start = \"COMMAND\" to bootagent.toml, with the command of [project.scripts] that starts the service")
        .into()),
        (None, None) => Err(Error::new(
            Code::ManifestInvalid,
            DOING,
            "neither start in bootagent.toml, nor a Procfile, and no module of the repository shows an application",
        )
        .remedy(no_start(inputs.source))
        .into()),
    }
}

fn no_start(source: &Source) -> String {
    let write = image_start::remedy(source).unwrap_or_else(|| WRITE.to_owned());
    match below::remedy(source, &below::files_below(source, &DESCRIBES)) {
        Some(directory) => format!("{write}; if the service is in a directory, write {directory}"),
        None => write,
    }
}

const WRITE: &str =
    "add start = \"gunicorn package.module:app\" (or what starts the service) to bootagent.toml";
/// Files by which a directory is a project of its own.
const DESCRIBES: [&str; 3] = ["pyproject.toml", "requirements.txt", "manage.py"];

/// The line that the manifest or the Procfile has.
fn written(inputs: &RecipeInputs, notes: &mut Vec<String>) -> Result<Option<String>> {
    match &inputs.manifest.start {
        Some(line) => Ok(Some(line.clone())),
        None => procfile::start(inputs, notes),
    }
}

/// gunicorn tells systemd when it listens.
fn started(line: &str) -> Result<Start> {
    let start = command::line(line)?;
    let words = start.argv.iter().flat_map(|word| word.split_whitespace());
    let mut words = words
        .skip_while(|word| ["/usr/bin/env", "/bin/sh", "-c", "exec"].contains(word) || word.contains('='));
    let notifies = words.next() == Some("gunicorn")
        && !start.is_wrapped
        && !line.contains(" -D")
        && !line.contains("--daemon");
    Ok(Start { notifies, written: Some(line.to_owned()), ..start })
}

/// A file at the root or in `src` that is run as a program: main.py is made for that, others show it.
fn program(source: &Source, shows: fn(&str) -> bool, in_src: bool) -> Result<Option<String>, Unmet> {
    if let Some(path) = program_at_the_root(source, shows) {
        return Ok(Some(path.to_owned()));
    }
    if !in_src {
        return Ok(None);
    }
    let below: Vec<String> = PROGRAMS.map(|path| format!("{SRC}/{path}")).into();
    let below: Vec<&str> = below.iter().map(String::as_str).filter(|path| is_known(source, path)).collect();
    require_texts(source, &below)?;
    let is_one = |path: &&str| source.text(path).is_some_and(shows);
    Ok(below.into_iter().find(is_one).map(str::to_owned))
}

fn program_at_the_root(source: &Source, shows: fn(&str) -> bool) -> Option<&'static str> {
    PROGRAMS.into_iter().find(|path| match source.evidence_of(path) {
        Evidence::Text(text) => *path == "main.py" || shows(text),
        _ => false,
    })
}

/// The file that is started by Python itself, with no server and no framework around it.
pub fn alone(inputs: &RecipeInputs) -> Option<&'static str> {
    let procfile = inputs.source.text("Procfile").and_then(procfile::command);
    match inputs.manifest.start.as_deref().or(procfile) {
        Some(line) => PROGRAMS.into_iter().find(|path| runs(line, path)),
        None if inputs.source.has("manage.py") || application::at_the_root(inputs.source).is_some() => None,
        None => program_at_the_root(inputs.source, objects::is_script),
    }
}

/// `python -u main.py --flag`.
fn runs(line: &str, path: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word == "exec" || word.contains('='));
    let python = words.next().is_some_and(|word| ["python", "python3"].contains(&word));
    python && words.find(|word| !word.starts_with('-')) == Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gunicorn_that_is_the_main_process_tells_that_it_listens() {
        for line in [
            "gunicorn app:app",
            "A=1 gunicorn app:app",
            "gunicorn 'app:create_app()'",
            "exec gunicorn --bind :$PORT x:y",
        ] {
            assert!(started(line).unwrap().notifies, "{line}");
        }
        for line in [
            "uvicorn app:app",
            "gunicorn app:app -D",
            "gunicorn --daemon x:y",
            "x && gunicorn app:app",
            "python gunicorn",
        ] {
            assert!(!started(line).unwrap().notifies, "{line}");
        }
    }
}
