//! The start command as a person would type it, and which convention chose it.

use super::{Subject, command, plain};
use crate::plan::Setting;

/// Servers of Python's that listen on a port.
const SERVERS: &[&str] = &[
    "gunicorn",
    "uvicorn",
    "hypercorn",
    "daphne",
    "waitress-serve",
    "granian",
    "flask",
    "fastapi",
    "streamlit",
];

/// In place of a command.
pub const OF_ECOSYSTEM: &str = "what PM2's ecosystem file names";

pub fn shown(subject: &Subject) -> Setting {
    if let Some(site) = subject.recipe.settings.iter().find(|setting| setting.name == "site") {
        let value = format!("{}, by nginx", plain(&site.value));
        return Setting { name: "serve".to_owned(), value, origin: plain(&site.origin) };
    }
    if let Some(host) = subject.recipe.data_host() {
        let (value, origin) = (host.server.packages)(host.settings.get("version").map(String::as_str))
            .split_first()
            .map(|(first, _)| (format!("the server of the package {first}"), "the runtime".to_owned()))
            .unwrap_or_default();
        return Setting { name: "start".to_owned(), value, origin };
    }
    if let Some(container) = subject.recipe.container() {
        let (value, origin) = match container.command.is_empty() {
            true => ("the image's command".to_owned(), "no start in bootagent.toml"),
            false => (command::typed(&container.command), "start in bootagent.toml"),
        };
        return Setting { name: "start".to_owned(), value: plain(&value), origin: origin.to_owned() };
    }
    if let Some(project) = subject.recipe.project() {
        let names: Vec<&str> = project.members.keys().map(String::as_str).collect();
        let value = format!("the containers {}, by docker compose", names.join(", "));
        return Setting { name: "start".to_owned(), value: plain(&value), origin: plain(&project.file) };
    }
    let (value, origin) = match subject.line.as_str() {
        "" => (OF_ECOSYSTEM.to_owned(), "the repository has one".to_owned()),
        line => (line.to_owned(), origin(subject)),
    };
    Setting { name: "start".to_owned(), value, origin: plain(&origin) }
}

/// A runtime that says it, says it in its settings.
fn origin(subject: &Subject) -> String {
    let said = subject.recipe.settings.iter().find(|setting| setting.name == "start");
    if let Some(said) = said {
        return said.origin.clone();
    }
    if subject.manifest.start.is_some() {
        return "start in bootagent.toml".to_owned();
    }
    let line = command::typed(&subject.recipe.start.argv);
    let procfile = subject.tree.source.text("Procfile").unwrap_or_default();
    let is_same = |entry: &str| entry.split_once(':').is_some_and(|(_, process)| plain(process) == line);
    if procfile.lines().any(is_same) {
        return "Procfile".to_owned();
    }
    // Also behind the variables that the line sets.
    let words: Vec<&str> =
        line.split_whitespace().skip_while(|word| word.contains('=') && !word.starts_with('-')).collect();
    let module =
        |word: &&str| word.contains(':') && !word.contains(['/', '=', '$']) && !word.starts_with(['-', ':']);
    match words.as_slice() {
        ["python", "-m", package] => format!("{package}/__main__.py: the only package that Python can run"),
        ["python", path] => format!("{path}: a usual name"),
        ["streamlit", "run", path, ..] => format!("{path}: an application of Streamlit"),
        [program, rest @ ..] if SERVERS.contains(program) => {
            let module = rest.iter().copied().find(|word| module(word)).unwrap_or_default();
            let module = module.trim_matches('\'').split(':').next().unwrap_or_default();
            let is_django = module.ends_with(".wsgi") || module.ends_with(".asgi");
            match is_django && ["manage.py", "src/manage.py"].iter().any(|path| subject.tree.source.has(path))
            {
                true => format!("manage.py: the application of Django in module {module}"),
                false => format!("the application object in module {module}"),
            }
        }
        _ => "[project.scripts] in pyproject.toml".to_owned(),
    }
}

/// Names of files that start a server.
const NAMES: &[&str] = &["server", "www", "http", "api", "web"];

/// Whether a dependency, the program of the start command or the name of its file shows that it listens on a port.
pub fn is_web(subject: &Subject) -> bool {
    let words = command::words(&subject.line);
    let program = words.iter().find(|word| !word.contains('='));
    let stem =
        |word: &str| word.rsplit('/').next().and_then(|name| name.split('.').next()).map(str::to_owned);
    let is_named = words.iter().filter_map(|word| stem(word)).any(|name| NAMES.contains(&name.as_str()));
    subject.recipe.is_web || program.is_some_and(|program| SERVERS.contains(program)) || is_named
}
