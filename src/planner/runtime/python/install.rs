//! What is installed, from which file, and by which commands.

use super::interpreter::Chosen;
use super::requirements::{self, Names};
use crate::error::{Code, Error, Result};
use crate::facts::Evidence;
use crate::fault::Slice;
use crate::planner::runtime::{Draft, Need, Work, command};
use crate::planner::unmet::Unmet;

/// Our own script, which root puts there and the build user runs.
const SCRIPT: &str = "/opt/bootagent/scripts/python-install.py";

/// The file that says what is to be installed.
pub struct Found {
    kind: Kind,
    pub path: &'static str,
    /// The packages that it names; nothing where it is too long to be read here.
    pub names: Option<Names>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Uv,
    Poetry,
    Pipfile,
    Requirements,
}

const FILES: [(Kind, &str); 4] = [
    (Kind::Uv, "uv.lock"),
    (Kind::Poetry, "poetry.lock"),
    (Kind::Pipfile, "Pipfile.lock"),
    (Kind::Requirements, "requirements.txt"),
];

impl Found {
    pub fn needs_uv(&self) -> bool {
        self.kind == Kind::Uv
    }

    /// Whether a package is among them, as far as that is known.
    pub fn has(&self, name: &str) -> Option<bool> {
        self.names.as_ref().map(|names| names.contains(name))
    }
}

/// A lockfile, else requirements.txt. Without either the manifest must say what is done.
pub fn found(draft: &Draft, notes: &mut Vec<String>) -> Result<Option<Found>, Unmet> {
    let there: Vec<(Kind, &'static str)> =
        FILES.into_iter().filter(|(_, path)| draft.source.has(path)).collect();
    let own = draft.manifest.install.is_some();
    let locks: Vec<&str> =
        there.iter().filter(|(kind, _)| *kind != Kind::Requirements).map(|(_, path)| *path).collect();
    if locks.len() > 1 && !own {
        let cause = format!("{} both say what is to be installed", locks.join(" and "));
        return Err(Error::new(Code::ManifestInvalid, "planning the installation of packages", cause)
            .remedy("remove the one that is not kept up to date, or name the commands with install = [...] in bootagent.toml")
            .into());
    }
    let Some((kind, path)) = there.first().copied() else {
        if own {
            return Ok(None);
        }
        let cause = "there is no uv.lock, poetry.lock, Pipfile.lock or requirements.txt";
        return Err(Error::new(Code::LockfileMissing, "planning the installation of packages", cause)
            .remedy("commit one: uv lock, or pip freeze > requirements.txt, writes it; or say what is done with install = [...] in bootagent.toml")
            .into());
    };
    let names = match (kind, draft.source.evidence_of(path)) {
        (Kind::Requirements, _) if own => None,
        (Kind::Requirements, _) => Some(requirements::read(draft, path, notes)?),
        (Kind::Pipfile, Evidence::Text(text)) => Some(requirements::of_pipfile_lock(text)),
        (_, Evidence::Text(text)) => Some(requirements::of_lock(text)),
        _ => None,
    };
    Ok(Some(Found { kind, path, names }))
}

pub fn script() -> Need {
    Need::Script { path: SCRIPT.into(), text: include_str!("install.py") }
}

/// Install, then build. The release's name goes by the file, not by who installs it: uv that comes into an image makes
/// no other release.
pub fn work(draft: &Draft, found: Option<&Found>, chosen: &Chosen) -> Result<Vec<Work>> {
    let mut work = Vec::new();
    let mut add = |slice: Slice, name: &str, why: &str, argv: Vec<String>, line: &str| {
        let (name, why, line) = (name.to_owned(), why.to_owned(), line.to_owned());
        work.push(Work { name, why, argv, line, slice });
    };
    let python = chosen.program.display().to_string();
    let uv = chosen.uv.as_ref().map(|uv| uv.program.display().to_string());
    let script = |words: &[&str]| -> Vec<String> {
        let uv = uv.iter().flat_map(|uv| ["--uv", uv.as_str()]);
        let words = words.iter().copied().chain(uv.filter(|_| words.len() > 1));
        [python.as_str(), "-I", SCRIPT].into_iter().chain(words).map(str::to_owned).collect()
    };
    match (&draft.manifest.install, found) {
        (Some(commands), _) => {
            let why = "an environment for the manifest's commands";
            add(Slice::Install, "venv", why, vec_of(&[&python, "-m", "venv", super::VENV]), "venv");
            for (index, line) in commands.iter().enumerate() {
                let name = numbered("install", index, commands.len());
                add(Slice::Install, &name, "as the manifest says", command::line_argv(line)?, line);
            }
            add(Slice::Build, "compile", COMPILE, script(&["compile"]), "compile");
        }
        (None, Some(Found { kind: Kind::Uv, path, .. })) => {
            let why = "exactly what uv.lock says: uv sync --locked --no-dev";
            add(Slice::Install, "install", why, script(&["uv", path]), &format!("install {path}"));
        }
        (None, Some(Found { kind, path, .. })) => {
            let word = match kind {
                Kind::Poetry => "poetry",
                Kind::Pipfile => "pipfile",
                Kind::Requirements | Kind::Uv => "requirements",
            };
            let why = format!("exactly what {path} says, into {}", super::VENV);
            add(Slice::Install, "install", &why, script(&[word, path]), &format!("install {path}"));
        }
        (None, None) => {}
    }
    let builds = draft.manifest.build.as_deref().unwrap_or_default();
    for (index, line) in builds.iter().enumerate() {
        let name = numbered("build", index, builds.len());
        let why = "what the service runs is made here";
        add(Slice::Build, &name, why, command::line_argv(line)?, line);
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
