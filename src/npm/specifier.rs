//! Whether a package of the lockfile is what another one requires, as npm judges it.

use nodejs_semver::{Range, Version};

use super::entry::Entry;
use super::{Result, for_npm, path, quoted};

/// In bytes. A longer range would take long to parse.
const LONGEST: usize = 1000;

/// `from` is the path of the package that requires. An answer that is not certain is npm's.
pub fn fits(specifier: &str, from: &str, to: &Entry) -> Result<bool> {
    if specifier.len() > LONGEST {
        return for_npm(format!("the version {} is too long", quoted(specifier)));
    }
    let specifier = specifier.trim();
    if let Some(alias) = specifier.strip_prefix("npm:") {
        // Behind the scope's own @.
        let at = alias.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
        let range = at.and_then(|at| alias.get(at + 1..)).unwrap_or_default();
        return fits_registry(range, to);
    }
    if ["file:", "./", "../", "/", "~/"].iter().any(|start| specifier.starts_with(start)) {
        return Ok(fits_directory(specifier, from, to));
    }
    if specifier.contains("://") || specifier.contains(['/', ':', '#']) {
        return for_npm(format!("{} is not a version of the registry", quoted(specifier)));
    }
    fits_registry(specifier, to)
}

/// A range, or a tag: of a tag, npm asks only for an archive of a registry.
fn fits_registry(range: &str, to: &Entry) -> Result<bool> {
    if range.is_empty() || range == "*" {
        return Ok(true);
    }
    match (Range::parse(range), to.text("version").map(Version::parse)) {
        (Ok(range), Some(Ok(version))) => Ok(range.satisfies(&version)),
        (Err(_), _) if is_tag(range) => Ok(to.text("resolved").is_some_and(|at| at.starts_with("https://"))),
        _ => for_npm(format!("the version {} is not understood here", quoted(range))),
    }
}

fn is_tag(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !text.starts_with('x')
        && !text.starts_with('X')
        && !text.starts_with('v')
}

/// A directory must be a link to exactly that directory.
fn fits_directory(specifier: &str, from: &str, to: &Entry) -> bool {
    let wanted = specifier.strip_prefix("file:").unwrap_or(specifier);
    to.is_link() && joined(from, wanted).is_some_and(|path| to.text("resolved") == Some(path.as_str()))
}

/// A path from the directory `from`; `None` if it leads out of the project.
pub fn joined(from: &str, path: &str) -> Option<String> {
    if path.starts_with(['/', '~']) {
        return None;
    }
    let mut all: Vec<&str> = from.split('/').filter(|name| !name.is_empty()).collect();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                all.pop()?;
            }
            name => all.push(name),
        }
    }
    Some(all.join("/"))
}

/// Where a package that is required under `name` is looked for, from the package at `from` on outwards.
pub fn places<'a>(from: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    std::iter::successors(Some(from), |at| path::holder(at)).map(move |at| path::child(at, name))
}
