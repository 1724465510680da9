//! How the service starts: the manifest, a Procfile, else a server for the application that its source has, else the
//! program itself.

use std::collections::BTreeSet;

use super::found::Found;
use super::objects::{self, Interface, Object};
use super::scripts;
use super::web;
use crate::error::{Code, Error, Result};
use crate::facts::{Evidence, Source};
use crate::planner::runtime::command::{self, Start};
use crate::planner::runtime::procfile;
use crate::planner::runtime::recipe::{RecipeInputs, Starts};
use crate::planner::unmet::{Unmet, require_texts};

const DOING: &str = "looking for the start command";

/// Programs at the root, as they are called by convention.
pub const PROGRAMS: [&str; 7] =
    ["main.py", "bot.py", "worker.py", "app.py", "start.py", "server.py", "run.py"];

/// Modules at the root, the most telling ones first.
const MODULES: [&str; 9] =
    ["wsgi.py", "asgi.py", "app.py", "main.py", "application.py", "server.py", "api.py", "run.py", "bot.py"];
/// And in a directory of the root.
const IN_PACKAGES: [&str; 6] = ["wsgi.py", "asgi.py", "app.py", "main.py", "application.py", "__init__.py"];
/// Directories that are looked into: a repository with more of them names its application itself.
const MOST_PACKAGES: usize = 12;

pub fn start(inputs: &RecipeInputs, found: Option<&Found>, notes: &mut Vec<String>) -> Result<Start, Unmet> {
    if inputs.starts == Starts::Nothing {
        return Ok(Start::none());
    }
    if let Some(line) = &inputs.manifest.start {
        return Ok(started(line)?);
    }
    if let Some(line) = procfile::start(inputs, notes)? {
        return Ok(started(&line)?);
    }
    let module = match django(inputs.source)? {
        Some(module) => Some(module),
        None => {
            at_the_root(inputs.source).map_or_else(|| in_a_package(inputs.source), |found| Ok(Some(found)))?
        }
    };
    let served = module.as_ref().map(|(module, object)| serve(module, object, found));
    let shows = if served.is_some() { objects::is_program } else { objects::is_script };
    match (served, program(inputs.source, shows)) {
        (Some(Ok(line)), _) => Ok(started(&line)?),
        (Some(Err(error)), None) => Err(error.into()),
        (Some(Err(_)), Some(path)) => {
            notes.push(format!("{path} is started as a program: no server (gunicorn, uvicorn) is among the dependencies"));
            Ok(started(&format!("python {path}"))?)
        }
        _ if let Some(line) = web::streamlit(inputs.source, found) => Ok(started(&line)?),
        (None, Some(path)) => Ok(started(&format!("python {path}"))?),
        (None, None) if let Some(script) = scripts::only(inputs.source, found) => Ok(started(&script)?),
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
        .remedy("add start = \"gunicorn package.module:app\" (or what starts the service) to bootagent.toml")
        .into()),
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

/// The command that serves an application. A server that is not among the dependencies is not chosen.
fn serve(module: &str, object: &Object, found: Option<&Found>) -> Result<String> {
    let has = |name: &str| found.and_then(|found| found.has(name));
    let all: &[&str] = match object.interface {
        Interface::Wsgi => &["gunicorn", "waitress"],
        Interface::Asgi => &["uvicorn", "hypercorn", "gunicorn"],
    };
    // Where the dependencies are not known, the usual one is taken for one of them.
    let server =
        all.iter().find(|name| has(name) == Some(true)).or(all.iter().find(|name| has(name).is_none()));
    let Object { name, is_factory, .. } = object;
    let called = if *is_factory { format!("{module}:{name}()") } else { format!("{module}:{name}") };
    Ok(match server {
        Some(&"gunicorn") if object.interface == Interface::Asgi => {
            format!("gunicorn --worker-class uvicorn.workers.UvicornWorker {}", quoted(&called))
        }
        // It reads PORT and WEB_CONCURRENCY by itself, and listens on all addresses.
        Some(&"gunicorn") => format!("gunicorn {}", quoted(&called)),
        Some(&"waitress") => {
            let factory = if *is_factory { "--call " } else { "" };
            format!("waitress-serve --listen=0.0.0.0:${{PORT:-8000}} {factory}{module}:{name}")
        }
        Some(&"uvicorn") => {
            let factory = if *is_factory { "--factory " } else { "" };
            format!("uvicorn --host 0.0.0.0 --port ${{PORT:-8000}} {factory}{module}:{name}")
        }
        Some(_) => format!("hypercorn --bind 0.0.0.0:${{PORT:-8000}} {}", quoted(&called)),
        None => {
            let cause = format!(
                "the application is {name} in the module {module}, and none of {} is among the dependencies",
                all.join(", ")
            );
            return Err(Error::new(Code::ManifestInvalid, DOING, cause).remedy(format!(
                "add {} to the dependencies, or start = \"...\" to bootagent.toml",
                all[0]
            )));
        }
    })
}

fn quoted(word: &str) -> String {
    if word.ends_with(')') { format!("'{word}'") } else { word.to_owned() }
}

/// manage.py names the settings, and their package has the application.
fn django(source: &Source) -> Result<Option<(String, Object)>, Unmet> {
    let Some(settings) = source.text("manage.py").and_then(settings_module) else { return Ok(None) };
    let package = settings.split('.').next().unwrap_or_default().to_owned();
    let files = ["wsgi", "asgi"].map(|name| (name, format!("{package}/{name}.py")));
    require_texts(source, &files.each_ref().map(|(_, path)| path.as_str()))?;
    Ok(files.iter().find_map(|(name, path)| {
        let object = objects::find(source.text(path)?)?;
        Some((format!("{package}.{name}"), object))
    }))
}

/// `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")`.
fn settings_module(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
    let (_, rest) = rest.split_once([',', '='])?;
    let rest = rest.trim_start_matches([' ', '\n', '\t', '\'', '"', ']']);
    let module = rest.split(['\'', '"']).next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (module.contains('.') && module.chars().all(plain)).then_some(module)
}

fn at_the_root(source: &Source) -> Option<(String, Object)> {
    MODULES.iter().find_map(|path| {
        let object = objects::find(source.text(path)?)?;
        Some((module(path), object))
    })
}

/// `src/shop/app.py` is `shop.app` only where the manifest says so: only packages at the root are looked into. At a reboot
/// the entries below the root are not known any more; what was read of them is.
fn in_a_package(source: &Source) -> Result<Option<(String, Object)>, Unmet> {
    let candidates: BTreeSet<&str> = source
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .chain(source.evidence.keys().map(String::as_str))
        .chain(source.unread.keys().map(String::as_str))
        .filter(|path| is_candidate(path))
        .collect();
    let packages: BTreeSet<&str> =
        candidates.iter().filter_map(|path| path.split('/').next()).take(MOST_PACKAGES * 6).collect();
    if packages.len() > MOST_PACKAGES {
        return Ok(None);
    }
    let candidates: Vec<&str> = candidates.into_iter().collect();
    require_texts(source, &candidates)?;
    let in_order = IN_PACKAGES
        .iter()
        .flat_map(|name| candidates.iter().filter(move |path| path.rsplit('/').next() == Some(*name)));
    Ok(in_order.into_iter().find_map(|path| {
        let object = objects::find(source.text(path)?)?;
        Some((module(path), object))
    }))
}

fn is_candidate(path: &str) -> bool {
    const NOT_THEIRS: [&str; 6] = ["tests", "test", "docs", "scripts", "examples", "migrations"];
    match path.split_once('/') {
        Some((directory, name)) => {
            let plain = directory.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            plain && IN_PACKAGES.contains(&name) && !NOT_THEIRS.contains(&directory)
        }
        None => false,
    }
}

fn module(path: &str) -> String {
    path.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".")
}

/// A file at the root that is run as a program: main.py is made for that, others show it.
fn program(source: &Source, shows: fn(&str) -> bool) -> Option<&'static str> {
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
        None if inputs.source.has("manage.py") || at_the_root(inputs.source).is_some() => None,
        None => program(inputs.source, objects::is_script),
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

    #[test]
    fn settings_are_found_however_they_are_quoted() {
        for text in [
            "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"shop.settings\")",
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE',\n    'shop.settings')",
            "os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'",
        ] {
            assert_eq!(settings_module(text), Some("shop.settings"), "{text}");
        }
        for text in
            ["", "DJANGO_SETTINGS_MODULE", "DJANGO_SETTINGS_MODULE, name", "DJANGO_SETTINGS_MODULE, '../x.y'"]
        {
            assert_eq!(settings_module(text), None, "{text}");
        }
    }

    #[test]
    fn modules_are_named_as_python_imports_them() {
        assert_eq!(module("app.py"), "app");
        assert_eq!(module("web/__init__.py"), "web");
        assert_eq!(module("web/main.py"), "web.main");
        for path in ["web/app.py", "web/__init__.py"] {
            assert!(is_candidate(path), "{path}");
        }
        for path in ["app.py", "tests/app.py", "a/b/app.py", "web/models.py", "we b/app.py"] {
            assert!(!is_candidate(path), "{path}");
        }
    }
}
