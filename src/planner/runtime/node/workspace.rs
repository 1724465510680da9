//! The workspaces of a monorepo: the directories that package.json or pnpm-workspace.yaml names, and their package.json.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::forms;
use super::package::{self, Package};
use super::pattern::Patterns;
use crate::error::Result;
use crate::facts::Source;
use crate::planner::runtime::yaml;
use crate::planner::unmet::{Unmet, require_texts};

/// Workspaces that are looked into, besides those that a start line names: each is a file to read.
const MOST: usize = 60;

/// package.json of each workspace, by directory relative to the root.
#[derive(Debug, Default)]
pub struct Workspaces {
    packages: BTreeMap<String, Package>,
    /// What of the patterns was not understood or not followed.
    pub notes: Vec<String>,
}

impl Workspaces {
    /// By the name in its package.json, or by its directory; behind `./` by that only. Filters of pnpm and turbo may have `...`.
    pub fn find(&self, wanted: &str) -> Option<(&str, &Package)> {
        let wanted = wanted.trim_matches(['\'', '"']).trim_end_matches("...").trim_end_matches('/');
        if let Some(path) = wanted.strip_prefix("./") {
            return self
                .packages
                .get_key_value(path)
                .map(|(directory, package)| (directory.as_str(), package));
        }
        let named = self.packages.iter().find(|(_, package)| package.name.as_deref() == Some(wanted));
        let found = named.or_else(|| self.packages.get_key_value(wanted)).or_else(|| {
            self.packages.iter().find(|(directory, _)| directory.rsplit('/').next() == Some(wanted))
        });
        found.map(|(directory, package)| (directory.as_str(), package))
    }

    pub fn at(&self, directory: &str) -> Option<&Package> {
        self.packages.get(directory)
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
        let Some((directory, package)) = self.packages.get_key_value(directory) else { return };
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
        self.packages.iter().map(|(directory, package)| (directory.as_str(), package))
    }
}

/// The workspaces of the commit. At a reboot its list of files is not known below the root, but what was read of it is.
/// `lines` may start one of them, which is looked into in any case.
pub fn workspaces(source: &Source, package: &Package, lines: &[&str]) -> Result<Workspaces, Unmet> {
    let mut notes = Vec::new();
    let texts = package.workspaces.iter().cloned().chain(of_pnpm(source, &mut notes));
    let mut patterns = Patterns::of(texts, &mut notes);
    if patterns.is_empty() {
        return Ok(Workspaces { notes, ..Workspaces::default() });
    }
    let known = source.entries.iter().map(|entry| entry.path.as_str());
    let known = known.chain(source.evidence.keys().chain(source.unread.keys()).map(String::as_str));
    let known: BTreeSet<&str> = known.collect();
    let is_pnpm = source.has(PNPM);
    let is_one = |path: &&str| is_of_one(path, is_pnpm, &mut patterns);
    let paths = known.into_iter().filter(is_one).collect();
    let paths = first(paths, lines, &mut notes);
    if patterns.is_exhausted() {
        notes.push(format!("of the workspaces not all are known: {TOO_MANY}"));
    }
    require_texts(source, &paths)?;
    let mut found = BTreeMap::new();
    for path in paths {
        if let (Some(text), Some((directory, _))) = (source.text(path), path.rsplit_once('/')) {
            // package.json comes first in the alphabet, and with pnpm.
            found.entry(directory.to_owned()).or_insert(package::parse(path, text)?);
        }
    }
    Ok(Workspaces { packages: found, notes })
}

const PNPM: &str = "pnpm-workspace.yaml";
const TOO_MANY: &str = "their patterns are too many for the directories of this repository";

/// Those that are looked into: at most `MOST`, and first those whose directory a line names.
fn first<'a>(mut paths: Vec<&'a str>, lines: &[&str], notes: &mut Vec<String>) -> Vec<&'a str> {
    if paths.len() > MOST {
        notes.push(format!(
            "of {} workspaces {MOST} are looked into: those that the start lines name, and the first",
            paths.len()
        ));
        let separates = |c: char| !c.is_ascii_alphanumeric() && !"._-@+".contains(c);
        let words = lines.iter().flat_map(|line| line.split(separates));
        let words: BTreeSet<&str> = words.map(|word| word.trim_end_matches("...")).collect();
        let is_named = |path: &str| path.rsplit('/').nth(1).is_some_and(|name| words.contains(name));
        paths.sort_by_key(|path| !is_named(path));
        paths.truncate(MOST);
    }
    paths
}

/// Whether `apps/web/package.json` belongs to a workspace of `apps/*`.
fn is_of_one(path: &str, is_pnpm: bool, patterns: &mut Patterns) -> bool {
    let Some(directory) = forms::directory(path, is_pnpm) else { return false };
    // It becomes part of command lines.
    if !directory.chars().all(|c| c.is_ascii_alphanumeric() || "/._-@+".contains(c)) {
        return false;
    }
    !directory.split('/').any(|part| part == "node_modules") && patterns.fit(directory)
}

/// The list `packages:` of pnpm-workspace.yaml.
fn of_pnpm(source: &Source, notes: &mut Vec<String>) -> Vec<String> {
    let path = PNPM;
    let text = source.read(path).map_err(str::to_owned);
    let why = match text.and_then(|text| yaml::top(text.unwrap_or_default())) {
        Ok(mut top) => match top.remove("packages") {
            Some(yaml::Value::List(patterns)) => return patterns,
            None => return Vec::new(),
            Some(_) => "its packages are not a list of texts".to_owned(),
        },
        Err(why) => why,
    };
    notes.push(format!("{path} names no workspaces here: {why}"));
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;

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
        let found = workspaces(&source(&files), &package, &[]).unwrap();
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
        let found = workspaces(&source(&files), &package, &[]).unwrap();
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
        let found = workspaces(&source, &Package::default(), &[]).unwrap();
        for wanted in ["@acme/api", "apps/api", "./apps/api", "api", "@acme/api..."] {
            assert_eq!(found.find(wanted).map(|(directory, _)| directory), Some("apps/api"), "{wanted}");
        }
        assert!(found.find("web").is_none());
    }

    #[test]
    fn a_pnpm_workspace_is_read_in_each_form() {
        let files = |yaml| {
            [("pnpm-workspace.yaml", yaml), ("apps/api/package.json", "{}"), ("lib/package.json", "{}")]
        };
        let found = |yaml| workspaces(&source(&files(yaml)), &Package::default(), &[]).unwrap();
        for (yaml, directories) in [
            ("packages: [\"apps/*\", lib] # all\n", &["apps/api", "lib"][..]),
            ("packages:\n  - '{apps,packages}/*'\n", &["apps/api"]),
            ("packages:\n- '**'\n- '!lib'\n", &["apps/api"]),
            ("catalog:\n  packages: [apps/*]\n", &[]),
        ] {
            let found = found(yaml);
            assert_eq!(
                found.iter().map(|(directory, _)| directory).collect::<Vec<_>>(),
                directories,
                "{yaml}"
            );
            assert!(found.notes.is_empty(), "{:?}", found.notes);
        }
        for (yaml, says) in [
            ("packages: [apps/*\n", "pnpm-workspace.yaml"),
            ("packages: apps/*\n", "not a list"),
            ("packages: ['apps/[a-z]*']\n", "apps/[a-z]*"),
        ] {
            let found = found(yaml);
            assert!(found.iter().next().is_none() && found.notes.len() == 1, "{yaml}: {:?}", found.notes);
            assert!(found.notes[0].contains(says), "{:?}", found.notes);
        }
        let mut linked = source(&[]);
        linked.unread.insert("pnpm-workspace.yaml".to_owned(), "it is a symbolic link".to_owned());
        let notes = workspaces(&linked, &Package::default(), &[]).unwrap().notes;
        assert_eq!(notes, ["pnpm-workspace.yaml names no workspaces here: it is a symbolic link"]);
    }

    #[test]
    fn of_many_workspaces_the_named_one_is_looked_into() {
        let paths: Vec<String> = (0..70).map(|at| format!("packages/p{at:02}/package.json")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "{}")).collect();
        let package = package::parse("package.json", r#"{"workspaces": ["packages/*"]}"#).unwrap();
        let found = |lines: &[&str]| workspaces(&source(&files), &package, lines).unwrap();
        for line in ["npm start -w p69", "pnpm --filter @acme/p69... start", "cd packages/p69 && node x"] {
            let found = found(&[line]);
            assert!(found.find("p69").is_some() && found.iter().count() == MOST && found.notes.len() == 1);
        }
        assert!(found(&["npm start -w p6"]).find("p69").is_none());
        let few = workspaces(&source(&files[..MOST]), &package, &[]).unwrap();
        assert!(few.notes.is_empty() && few.iter().count() == MOST);
    }
}
