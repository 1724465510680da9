//! By which commands packages are installed.

use super::found::{Found, Kind};
use super::interpreter::Chosen;
use crate::fault::Phase;
use crate::planner::runtime::command;
use crate::planner::runtime::recipe::{Need, RecipeInputs, Work};
use crate::planner::unmet::Unmet;

/// Our own script, which root puts there and the build user runs.
const SCRIPT: &str = "/opt/bootagent/scripts/python-install.py";

pub fn script() -> Need {
    Need::Script { path: SCRIPT.into(), text: include_str!("install.py") }
}

/// Install, then build. The release's name goes by the file, not by who installs it: uv that comes into an image makes
/// no other release.
pub fn work(inputs: &RecipeInputs, found: Option<&Found>, chosen: &Chosen) -> Result<Vec<Work>, Unmet> {
    let mut work = Vec::new();
    let mut add = |phase: Phase, name: &str, why: &str, argv: Vec<String>, line: &str| {
        let (name, why, line) = (name.to_owned(), why.to_owned(), line.to_owned());
        work.push(Work { name, why, argv, line, phase, own_installer: None });
    };
    let python = chosen.program.display().to_string();
    let uv = chosen.uv.as_ref().map(|uv| uv.program.display().to_string());
    let script = |words: &[&str]| -> Vec<String> {
        let uv = uv.iter().flat_map(|uv| ["--uv", uv.as_str()]);
        let words = words.iter().copied().chain(uv.filter(|_| words.len() > 1));
        [python.as_str(), "-I", SCRIPT].into_iter().chain(words).map(str::to_owned).collect()
    };
    match (&inputs.manifest.install, found) {
        (Some(commands), _) => {
            let why = "an environment for the manifest's commands";
            add(Phase::Install, "venv", why, vec_of(&[&python, "-m", "venv", super::VENV]), "venv");
            for (index, line) in commands.iter().enumerate() {
                let name = numbered("install", index, commands.len());
                add(Phase::Install, &name, "as the manifest says", command::line_argv(line)?, line);
            }
            add(Phase::Build, "compile", COMPILE, script(&["compile"]), "compile");
        }
        (None, Some(Found { kind: Kind::Uv, path, .. })) => {
            let why = "exactly what uv.lock says: uv sync --locked --no-dev";
            add(Phase::Install, "install", why, script(&["uv", path]), &format!("install {path}"));
        }
        (None, Some(Found { kind: Kind::Nothing, .. })) => {
            add(Phase::Install, "venv", "an environment without packages", script(&["venv"]), "venv");
        }
        (None, Some(Found { kind, path, .. })) => {
            let word = match kind {
                Kind::Poetry => "poetry",
                Kind::Pdm => "pdm",
                Kind::Pipfile => "pipfile",
                Kind::Requirements | Kind::Uv | Kind::Nothing => "requirements",
            };
            let why = format!("exactly what {path} says, into {}", super::VENV);
            add(Phase::Install, "install", &why, script(&[word, path]), &format!("install {path}"));
        }
        (None, None) => {}
    }
    let builds = inputs.manifest.build.as_deref().unwrap_or_default();
    for (index, line) in builds.iter().enumerate() {
        let name = numbered("build", index, builds.len());
        let why = "what the service runs is made here";
        add(Phase::Build, &name, why, command::line_argv(line)?, line);
    }
    Ok(work)
}

const COMPILE: &str = "the service may not write its bytecode beside its modules";

fn vec_of(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn numbered(name: &str, index: usize, of: usize) -> String {
    if of == 1 { name.to_owned() } else { format!("{name}-{}", index + 1) }
}
