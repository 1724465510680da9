//! Python: a version that fits, a virtual environment of exactly what the repository names, and a server for its
//! application.

mod application;
mod bare;
mod distribution;
mod django;
mod found;
mod install;
mod interpreter;
mod lockfile;
mod objects;
mod requirements;
mod scripts;
mod server;
mod start;
mod system;
mod tree;
mod uv;
mod version;
mod version_files;
mod web;

use std::collections::BTreeMap;

use super::command;
use super::container::DOCKERFILE;
use super::recipe::{ArchiveNames, Claim, Kind, Recipe, RecipeInputs, Runtime, Weight};
use crate::facts::{Mirrors, Network, Source};
use crate::observe::manifest::{Key, Table, Takes};
use crate::plan::layout::Layout;
use crate::planner::env::python;
use crate::planner::unmet::{Unmet, require_texts};

pub static PYTHON: Runtime = Runtime {
    name: "python",
    evidence: EVIDENCE,
    programs: &[interpreter::PLACES, uv::PLACES],
    table: Table { name: "python", keys: &[VERSION] },
    archives: &[ArchiveNames { program: "uv", is_one: uv::is_archive, example: uv::EXAMPLE }],
    mirrors: &["pypi", "uv"],
    bundles: &["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"],
    dialect: &python::PYTHON,
    network,
    detect,
    recipe,
};

/// What says what is installed, which Python is asked for, and how the service starts.
const EVIDENCE: &[&str] = &[
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile",
    "Pipfile.lock",
    ".python-version",
    ".tool-versions",
    "mise.toml",
    ".mise.toml",
    "runtime.txt",
    "Procfile",
    "manage.py",
    "app.py",
    "main.py",
    "wsgi.py",
    "asgi.py",
    "application.py",
    "server.py",
    "api.py",
    "run.py",
    "start.py",
    "bot.py",
    "worker.py",
    "streamlit_app.py",
    "Home.py",
];

const VERSION: Key = Key {
    name: "version",
    expected: "a Python version like \"3.12\" or \">=3.10\"",
    takes: Takes::Text(|text| !text.trim().is_empty() && version::Range::parse(text).is_some()),
};

/// The directory of the virtual environment, which uv and most people call so.
const VENV: &str = ".venv";

fn detect(source: &Source) -> Option<Claim> {
    let first = |names: &[&'static str]| names.iter().copied().find(|path| source.has(path));
    // A Dockerfile says more than a list below the root, or manage.py alone.
    let has_image = source.has(DOCKERFILE);
    let locked = lockfile::first(source).filter(|path| !(has_image && path.contains('/')));
    let claim = |by, weight| Claim { by, weight };
    locked
        .map(|by| claim(by, Weight::Lockfile))
        .or_else(|| first(&["pyproject.toml", "Pipfile", "setup.py"]).map(|by| claim(by, Weight::Package)))
        .or_else(|| first(&["manage.py"]).filter(|_| !has_image).map(|by| claim(by, Weight::Program)))
        .or_else(|| first(&start::PROGRAMS).map(|by| claim(by, Weight::Program)))
}

/// pip and uv read a proxy's usual variables by themselves.
fn network(network: &Network, mirrors: &Mirrors) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut tell = |names: &[&str], value: &str| {
        variables.extend(names.iter().map(|name| ((*name).to_owned(), value.to_owned())));
    };
    if let Some(file) = &network.ca_file {
        // The script makes one file of it and the system's own certificates.
        tell(&["BOOTAGENT_CA_FILE"], file.as_str());
    }
    if let Some(mirror) = mirrors.get("pypi") {
        tell(&["PIP_INDEX_URL", "UV_DEFAULT_INDEX"], mirror.as_str());
    }
    variables
}

fn recipe(inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    let RecipeInputs { source, manifest, layout, .. } = inputs;
    // Of a record of an older bootagent, which did not read the others, a plan is made without them.
    let is_optional = |path: &str| ["streamlit_app.py", "Home.py"].contains(&path);
    let is_required = |path: &&str| !path.contains('/') && !is_optional(path);
    require_texts(source, &EVIDENCE.iter().copied().filter(is_required).collect::<Vec<_>>())?;
    let mut notes = Vec::new();
    let found = lockfile::found(inputs, &mut notes)?;
    let chosen = interpreter::choose(inputs, found.as_ref(), &mut notes)?;
    let system = system::needs(inputs, found.as_ref(), &chosen, &mut notes);
    let installed = install::work(inputs, found.as_ref(), &chosen)?;
    let start = start::start(inputs, found.as_ref(), &mut notes)?;
    let is_web = web::is_web(found.as_ref(), start.written.as_deref());
    notes.extend(
        django::database(source)?.filter(|_| manifest.persist.is_empty() && manifest.writable.is_empty()),
    );
    if manifest.build.is_none()
        && !start.written.as_deref().is_some_and(|line| line.contains("collectstatic"))
    {
        notes.extend(django::collects(source, found.as_ref())?);
    }
    let health = &manifest.health;
    if start.notifies && health.path.is_none() && health.check.is_none() {
        notes.push(
            "gunicorn listens before its workers are ready: without health.path the health check asks only for a connection \
             that a worker accepts, and not for an answer"
                .to_owned(),
        );
    }
    let migrate: Result<_, _> = manifest.migrate.iter().map(|line| command::line_argv(line)).collect();
    Ok(Recipe {
        runtime: format!("python {}", chosen.version),
        // Extension modules are built for a minor version's ABI.
        runtime_line: format!("python {}", chosen.line()),
        chosen_by: chosen.by.clone(),
        needs: chosen.needs.into_iter().chain(system).chain([install::script()]).collect(),
        work: installed,
        build_environment: build_environment(layout),
        start,
        migrate: migrate?,
        migrate_lines: manifest.migrate.clone(),
        migrate_environment: [("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())].into(),
        defaults: defaults(),
        programs: vec![format!("{VENV}/bin")],
        path: chosen.path,
        is_web,
        caches: vec![layout.cache().join("pip"), layout.cache().join("uv")],
        notes,
        ..Recipe::new(&PYTHON, Kind::Program)
    })
}

/// Output that is not held back; no attempt to write bytecode into a release that is read-only.
fn defaults() -> BTreeMap<String, String> {
    [("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn build_environment(layout: &Layout) -> BTreeMap<String, String> {
    let cache = |name: &str| layout.cache().join(name).display().to_string();
    [
        ("CI", "true".to_owned()),
        // Private and gone with the command: nothing that one commit writes there meets the next.
        ("HOME", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("PIP_CACHE_DIR", cache("pip")),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
        ("PIP_NO_INPUT", "1".to_owned()),
        // Three times within seconds; then the whole installation is done again.
        ("PIP_RETRIES", "2".to_owned()),
        ("UV_CACHE_DIR", cache("uv")),
        // A release is on another file system than the cache: uv warns each time that it finds out.
        ("UV_LINK_MODE", "copy".to_owned()),
        ("UV_NO_PROGRESS", "1".to_owned()),
        // No Python that the plan does not name.
        ("UV_PYTHON_DOWNLOADS", "never".to_owned()),
        // The system's certificates, as every other program here. Versions of uv that do not know it read SSL_CERT_FILE.
        ("UV_SYSTEM_CERTS", "1".to_owned()),
        ("VIRTUAL_ENV", VENV.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
