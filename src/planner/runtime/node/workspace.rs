//! The workspaces of a monorepo: the directories that package.json or pnpm-workspace.yaml names, and their package.json.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::package::{self, Package};
use crate::error::Result;
use crate::facts::Source;
use crate::planner::unmet::{Unmet, require_texts};

/// Workspaces that are looked into. A repository with more of them names what is started.
const MOST: usize = 60;

/// package.json of each workspace, by directory relative to the root.
#[derive(Debug, Default)]
pub struct Workspaces(BTreeMap<String, Package>);

impl Workspaces {
    /// By the name in its package.json, or by its directory. Filters of pnpm and turbo may have `...` and `./`.
    pub fn find(&self, wanted: &str) -> Option<(&str, &Package)> {
        let wanted = wanted
            .trim_matches(['\'', '"'])
            .trim_end_matches("...")
            .trim_start_matches("./")
            .trim_end_matches('/');
        let named = self.0.iter().find(|(_, package)| package.name.as_deref() == Some(wanted));
        let found = named
            .or_else(|| self.0.get_key_value(wanted))
            .or_else(|| self.0.iter().find(|(directory, _)| directory.rsplit('/').next() == Some(wanted)));
        found.map(|(directory, package)| (directory.as_str(), package))
    }

    pub fn at(&self, directory: &str) -> Option<&Package> {
        self.0.get(directory)
    }

    /// The workspaces that one needs, each behind those that it needs itself, and that one last.
    pub fn with_dependencies<'a>(&'a self, directory: &str) -> Vec<(&'a str, &'a Package)> {
        let mut ordered = Vec::new();
        self.add_with_dependencies(directory, &mut BTreeSet::new(), &mut ordered);
        ordered
    }

    /// Workspaces that need each other come in any order.
    fn add_with_dependencies<'a>(
        &'a self,
        directory: &str,
        seen: &mut BTreeSet<&'a str>,
        ordered: &mut Vec<(&'a str, &'a Package)>,
    ) {
        let Some((directory, package)) = self.0.get_key_value(directory) else { return };
        if !seen.insert(directory) {
            return;
        }
        let is_needed = |other: &Package| other.name.as_deref().is_some_and(|name| package.has(name));
        for (other, _) in self.iter().filter(|(_, other)| is_needed(other)) {
            self.add_with_dependencies(other, seen, ordered);
        }
        ordered.push((directory, package));
    }

    /// The line that runs a workspace's start script, in the words of a package manager.
    pub fn start_of(&self, directory: &str, manager: &str) -> String {
        let name = self.at(directory).and_then(|package| package.name.as_deref());
        match (manager, name) {
            ("yarn", Some(name)) => format!("yarn workspace {name} start"),
            ("pnpm", name) => format!("pnpm --filter {} start", name.unwrap_or(&format!("./{directory}"))),
            ("bun", Some(name)) => format!("bun run --filter {name} start"),
            _ => format!("npm start --workspace={directory}"),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Package)> {
        self.0.iter().map(|(directory, package)| (directory.as_str(), package))
    }
}

/// The workspaces of the commit. At a reboot its list of files is not known below the root, but what was read of it is.
pub fn workspaces(source: &Source, package: &Package) -> Result<Workspaces, Unmet> {
    let patterns: Vec<String> = package.workspaces.iter().cloned().chain(of_pnpm(source)).collect();
    if patterns.is_empty() {
        return Ok(Workspaces::default());
    }
    let known = source.entries.iter().map(|entry| entry.path.as_str());
    let known = known.chain(source.evidence.keys().chain(source.unread.keys()).map(String::as_str));
    let paths: BTreeSet<&str> = known.filter(|path| is_of_one(path, &patterns)).take(MOST).collect();
    let paths: Vec<&str> = paths.into_iter().collect();
    require_texts(source, &paths)?;
    let mut found = BTreeMap::new();
    for path in paths {
        if let (Some(text), Some((directory, _))) = (source.text(path), path.rsplit_once('/')) {
            found.insert(directory.to_owned(), package::parse(path, text)?);
        }
    }
    Ok(Workspaces(found))
}

/// Whether `apps/web/package.json` belongs to a workspace of `apps/*`.
fn is_of_one(path: &str, patterns: &[String]) -> bool {
    let Some(directory) = path.strip_suffix("/package.json") else { return false };
    // It becomes part of command lines.
    if !directory.chars().all(|c| c.is_ascii_alphanumeric() || "/._-@+".contains(c)) {
        return false;
    }
    if directory.split('/').any(|part| part == "node_modules") {
        return false;
    }
    let matches = |pattern: &str| fits(directory, pattern.trim_start_matches("./").trim_end_matches('/'));
    let (without, with): (Vec<&String>, Vec<&String>) =
        patterns.iter().partition(|pattern| pattern.starts_with('!'));
    with.iter().any(|pattern| matches(pattern)) && !without.iter().any(|pattern| matches(&pattern[1..]))
}

/// `*` is any name of one directory, `**` any number of directories.
fn fits(directory: &str, pattern: &str) -> bool {
    let (first, rest) = pattern.split_once('/').map_or((pattern, None), |(first, rest)| (first, Some(rest)));
    let (name, below) =
        directory.split_once('/').map_or((directory, None), |(name, below)| (name, Some(below)));
    if first == "**" {
        return rest.is_none_or(|rest| fits(directory, rest))
            || below.is_some_and(|below| fits(below, pattern));
    }
    let same = match first.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => first == name,
    };
    same && match (rest, below) {
        (None, None) => true,
        (Some(rest), Some(below)) => fits(below, rest),
        (Some("**"), None) => true,
        _ => false,
    }
}

/// The list `packages:` of pnpm-workspace.yaml, in its usual block form.
fn of_pnpm(source: &Source) -> Vec<String> {
    let Some(text) = source.text("pnpm-workspace.yaml") else { return Vec::new() };
    let lines = text.lines().skip_while(|line| !line.starts_with("packages:")).skip(1);
    let items = lines.take_while(|line| line.trim().is_empty() || line.starts_with([' ', '-', '#', '\t']));
    let items = items.filter_map(|line| line.trim().strip_prefix('-'));
    items
        .map(|item| item.split(" #").next().unwrap_or_default().trim().trim_matches(['\'', '"']).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;

    #[test]
    fn a_pattern_names_directories() {
        for (path, pattern) in [
            ("apps/web/package.json", "apps/*"),
            ("apps/web/package.json", "./apps/web/"),
            ("packages/a/b/package.json", "packages/**"),
            ("packages/ui-core/package.json", "packages/ui-*"),
        ] {
            assert!(is_of_one(path, &[pattern.to_owned()]), "{path} {pattern}");
        }
        for (path, patterns) in [
            ("package.json", &["*"][..]),
            ("apps/web/api/package.json", &["apps/*"]),
            ("apps/node_modules/x/package.json", &["apps/**"]),
            ("apps/old/package.json", &["apps/*", "!apps/old"]),
            ("lib/web/package.json", &["apps/*"]),
            ("apps/w'b/package.json", &["apps/*"]),
        ] {
            let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            assert!(!is_of_one(path, &patterns), "{path} {patterns:?}");
        }
    }

    #[test]
    fn what_a_workspace_needs_comes_before_it() {
        let files = [
            ("package.json", ""),
            ("apps/api/package.json", r#"{"name": "api", "dependencies": {"db": "*", "express": "4"}}"#),
            ("apps/web/package.json", r#"{"name": "web", "dependencies": {"ui": "*"}}"#),
            ("packages/db/package.json", r#"{"name": "db", "devDependencies": {"config": "*", "ui": "*"}}"#),
            ("packages/ui/package.json", r#"{"name": "ui", "dependencies": {"db": "*"}}"#),
            ("packages/config/package.json", r#"{"name": "config"}"#),
        ];
        let package = package::parse("package.json", r#"{"workspaces": ["apps/*", "packages/*"]}"#).unwrap();
        let found = workspaces(&source(&files), &package).unwrap();
        let order = |directory: &str| -> Vec<&str> {
            found.with_dependencies(directory).into_iter().map(|(directory, _)| directory).collect()
        };
        assert_eq!(order("packages/config"), ["packages/config"]);
        assert_eq!(order("apps/api"), ["packages/config", "packages/ui", "packages/db", "apps/api"]);
        assert!(order("apps/other").is_empty());
    }

    #[test]
    fn each_package_manager_has_its_words_for_a_start() {
        let files = [("a/b/package.json", r#"{"name": "@acme/b"}"#), ("a/c/package.json", "{}")];
        let package = package::parse("package.json", r#"{"workspaces": ["a/*"]}"#).unwrap();
        let found = workspaces(&source(&files), &package).unwrap();
        for (manager, named, unnamed) in [
            ("npm", "npm start --workspace=a/b", "npm start --workspace=a/c"),
            ("yarn", "yarn workspace @acme/b start", "npm start --workspace=a/c"),
            ("pnpm", "pnpm --filter @acme/b start", "pnpm --filter ./a/c start"),
            ("bun", "bun run --filter @acme/b start", "npm start --workspace=a/c"),
        ] {
            assert_eq!(
                (found.start_of("a/b", manager).as_str(), found.start_of("a/c", manager).as_str()),
                (named, unnamed)
            );
        }
    }

    #[test]
    fn a_workspace_is_found_by_name_or_directory() {
        let source = source(&[
            ("pnpm-workspace.yaml", "packages:\n  - 'apps/*'  # all\n\ncatalog:\n  - x\n"),
            ("apps/api/package.json", r#"{"name": "@acme/api"}"#),
        ]);
        let found = workspaces(&source, &Package::default()).unwrap();
        for wanted in ["@acme/api", "apps/api", "./apps/api", "api", "@acme/api..."] {
            assert_eq!(found.find(wanted).map(|(directory, _)| directory), Some("apps/api"), "{wanted}");
        }
        assert!(found.find("web").is_none());
    }
}
