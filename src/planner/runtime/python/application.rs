//! Where the application is: Django's by manage.py, else in a module at the root, in a package there, or below `src`.

use std::collections::BTreeSet;

use super::django;
use super::objects;
use super::server::Application;
use super::tree::{SRC, known};
use crate::facts::Source;
use crate::planner::unmet::{Unmet, require_texts};

/// Modules at the root, the most telling ones first.
const MODULES: [&str; 9] =
    ["wsgi.py", "asgi.py", "app.py", "main.py", "application.py", "server.py", "api.py", "run.py", "bot.py"];
/// And in a directory of the root.
const IN_PACKAGES: [&str; 6] = ["wsgi.py", "asgi.py", "app.py", "main.py", "application.py", "__init__.py"];
/// Directories that are looked into: a repository with more of them names its application itself.
const MOST_PACKAGES: usize = 12;

pub fn find(source: &Source) -> Result<Option<Application>, Unmet> {
    if let Some(found) = of_django(source)? {
        return Ok(Some(found));
    }
    if let Some(found) = at_the_root(source) {
        return Ok(Some(found));
    }
    let known = known(source);
    // Without this file `src` is a place for modules, and not one itself.
    let is_package = known.contains("src/__init__.py");
    let is_of_the_root = |path: &&str| is_candidate(path) && (is_package || !path.starts_with("src/"));
    let candidates: Vec<&str> = known.iter().copied().filter(is_of_the_root).collect();
    if let Some(found) = in_a_package(source, &candidates, None)? {
        return Ok(Some(found));
    }
    let is_one = |path: &&str| MODULES.contains(path) || is_candidate(path);
    let below = known.iter().filter_map(|path| path.strip_prefix(SRC)?.strip_prefix('/'));
    let candidates: Vec<&str> = below.filter(is_one).collect();
    in_a_package(source, &candidates, Some(SRC))
}

/// The package of Django's settings has the application.
fn of_django(source: &Source) -> Result<Option<Application>, Unmet> {
    let Some(project) = django::project(source)? else { return Ok(None) };
    let package = project.settings.split('.').next().unwrap_or_default().to_owned();
    let files = ["wsgi", "asgi"].map(|name| (name, project.path(&format!("{package}/{name}.py"))));
    require_texts(source, &files.each_ref().map(|(_, path)| path.as_str()))?;
    Ok(files.iter().find_map(|(name, path)| {
        let object = objects::find(source.text(path)?)?;
        Some(Application { module: format!("{package}.{name}"), object, below: project.below })
    }))
}

pub fn at_the_root(source: &Source) -> Option<Application> {
    MODULES.iter().find_map(|path| {
        let object = objects::find(source.text(path)?)?;
        Some(Application { module: module(path), object, below: None })
    })
}

/// An application in one of these modules. `src/shop/app.py` is the module `shop.app`, below `src`.
fn in_a_package(
    source: &Source,
    candidates: &[&str],
    below: Option<&'static str>,
) -> Result<Option<Application>, Unmet> {
    let packages: BTreeSet<&str> =
        candidates.iter().filter_map(|path| path.split('/').next()).take(MOST_PACKAGES * 6).collect();
    if packages.len() > MOST_PACKAGES {
        return Ok(None);
    }
    let path = |candidate: &str| below.map_or(candidate.to_owned(), |below| format!("{below}/{candidate}"));
    let paths: Vec<String> = candidates.iter().map(|candidate| path(candidate)).collect();
    require_texts(source, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    let is_module = |candidate: &str| !candidate.contains('/');
    let modules = MODULES.iter().flat_map(|name| candidates.iter().filter(move |path| *path == name));
    let in_packages = IN_PACKAGES.iter().flat_map(|name| {
        let named = move |path: &&&str| !is_module(path) && path.rsplit('/').next() == Some(*name);
        candidates.iter().filter(named)
    });
    Ok(modules.chain(in_packages).find_map(|candidate| {
        let text = source.text(&path(candidate))?;
        let object = objects::find(text)?;
        // `from .settings import ...` works only in a package.
        let of_the_root =
            below.filter(|_| is_module(candidate) && text.lines().any(|line| line.starts_with("from .")));
        Some(match of_the_root {
            Some(package) => {
                Application { module: format!("{package}.{}", module(candidate)), object, below: None }
            }
            None => Application { module: module(candidate), object, below },
        })
    }))
}

/// `python -m bot`, for the only package at the root, or in `src`, that Python can run.
pub fn package_that_runs(source: &Source) -> Result<Option<String>, Unmet> {
    let known = known(source);
    let of = |prefix: &str| {
        let packages =
            known.iter().filter_map(|path| path.strip_prefix(prefix)?.strip_suffix("/__main__.py"));
        let mut packages = packages.filter(|package| is_candidate(&format!("{package}/__init__.py")));
        let first = packages.next()?.to_owned();
        packages.next().is_none().then_some(first)
    };
    let below = [("", ""), ("src/", "PYTHONPATH=src ")];
    let found = below.iter().find_map(|(prefix, sets)| Some((prefix, sets, of(prefix)?)));
    let Some((prefix, sets, package)) = found else { return Ok(None) };
    // Read only for the record, which must say the same after a reboot.
    require_texts(source, &[&format!("{prefix}{package}/__main__.py")])?;
    Ok(Some(format!("{sets}python -m {package}")))
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

#[cfg(test)]
mod tests {
    use super::*;

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
