//! The package.json files of the commit itself: of the project, and of directories that links lead to, such as workspaces.
//! npm reads them besides the lockfile, and a difference is npm's to report.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::entry::Entry;
use super::files::Files;
use super::lockfile::Lockfile;
use super::{Result, bins, for_npm, path, quoted, specifier};

/// Scripts of the project that `npm ci` runs.
const OF_PROJECT: &[&str] = &[
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "predependencies",
    "dependencies",
    "postdependencies",
];
/// The same of a directory that a link leads to.
const OF_LINKED: &[&str] = &["preinstall", "install", "postinstall", "prepare"];
/// What npm writes into the hidden lockfile from a linked directory's package.json, and not from the lockfile.
const WRITTEN: &[&str] = &["version", "license", "engines", "os", "cpu", "libc", "funding", "deprecated"];

/// The entries whose packages are in the commit, by path, after a comparison with the lockfile.
pub fn entries(
    lockfile: &Lockfile,
    files: &dyn Files,
    runs_scripts: bool,
) -> Result<BTreeMap<String, Entry>> {
    let root = read("", files)?;
    if root.fields.get("overrides").is_some_and(|all| *all != Value::Object(Map::new())) {
        return for_npm("package.json has overrides");
    }
    if root.fields.contains_key("devEngines") {
        return for_npm("package.json has devEngines, which npm compares with itself and Node");
    }
    same_dependencies(&root, &lockfile.root)?;
    let mut all = BTreeMap::new();
    if runs_scripts {
        without_scripts(&root, OF_PROJECT, files)?;
    }
    for (path, entry) in &lockfile.entries {
        if entry.name().is_some() || entry.is_link() {
            continue;
        }
        let own = read(path, files)?;
        same_dependencies(&own, entry)?;
        same_fields(&own, entry)?;
        if runs_scripts {
            without_scripts(&own, OF_LINKED, files)?;
        }
    }
    same_workspaces(&root, lockfile, files)?;
    all.insert(String::new(), root);
    Ok(all)
}

fn read(path: &str, files: &dyn Files) -> Result<Entry> {
    let file = joined(path, "package.json");
    let Some(text) = files.text(&file) else { return for_npm(format!("{} cannot be read", quoted(&file))) };
    match serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
        Ok(Value::Object(fields)) => Ok(Entry { path: path.to_owned(), fields }),
        _ => for_npm(format!("{} is not valid JSON", quoted(&file))),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn same_dependencies(own: &Entry, locked: &Entry) -> Result<()> {
    let all = |entry: &Entry, key: &str| Ok(entry.map(key)?.into_iter().collect::<BTreeMap<_, _>>());
    let required = |entry: &Entry| -> Result<BTreeMap<String, String>> {
        let optional = all(entry, "optionalDependencies")?;
        Ok(all(entry, "dependencies")?.into_iter().filter(|(name, _)| !optional.contains_key(name)).collect())
    };
    let (mine, theirs) = (required(own)?, required(locked)?);
    let mut differs = mine != theirs;
    for key in ["optionalDependencies", "devDependencies", "peerDependencies"] {
        differs |= all(own, key)? != all(locked, key)?;
    }
    let peers = |entry: &Entry| {
        entry.fields.get("peerDependenciesMeta").filter(|all| **all != Value::Object(Map::new())).cloned()
    };
    differs |= peers(own) != peers(locked);
    let file = quoted(&joined(&own.path, "package.json"));
    if differs {
        return for_npm(format!("{file} and the lockfile require different packages"));
    }
    if mine.keys().any(|name| own.fields.get("devDependencies").is_some_and(|all| all.get(name).is_some())) {
        return for_npm(format!("{file} requires a package twice"));
    }
    if own.bundles() || own.fields.contains_key("bundleDependencies") && own.path.is_empty() {
        return for_npm(format!("{file} has bundleDependencies"));
    }
    Ok(())
}

fn same_fields(own: &Entry, locked: &Entry) -> Result<()> {
    let differs = WRITTEN.iter().any(|key| own.plain(key) != locked.plain(key));
    let name = own.text("name").map(str::to_owned);
    let named = Entry { path: own.path.clone(), fields: own.fields.clone() };
    if differs || bins::of(&named) != bins::of(locked) || name.as_deref() != Some(locked.package_name()) {
        return for_npm(format!("{} and the lockfile differ", quoted(&joined(&own.path, "package.json"))));
    }
    let bin = own.fields.get("directories").and_then(|all| all.get("bin"));
    if bin.is_some() || own.fields.contains_key("bundledDependencies") {
        return for_npm(format!("{} has unusual fields", quoted(&joined(&own.path, "package.json"))));
    }
    Ok(())
}

fn without_scripts(own: &Entry, events: &[&str], files: &dyn Files) -> Result<()> {
    let of = if own.path.is_empty() { "the project".to_owned() } else { quoted(&own.path) };
    let has = |event: &&&str| own.fields.get("scripts").and_then(|scripts| scripts.get(**event)).is_some();
    if let Some(event) = events.iter().find(has) {
        return for_npm(format!("{of} has the script {event}"));
    }
    if files.exists(&joined(&own.path, "binding.gyp")) {
        return for_npm(format!("{of} has a native addon (binding.gyp)"));
    }
    Ok(())
}

/// The directories that `workspaces` names are those that the lockfile links, and all other links are dependencies.
fn same_workspaces(root: &Entry, lockfile: &Lockfile, files: &dyn Files) -> Result<()> {
    let mut found = BTreeSet::new();
    for pattern in patterns(root)? {
        found.extend(directories(&pattern, files)?);
    }
    for directory in &found {
        let name = lockfile.entries.get(directory).map(Entry::package_name);
        let link = name.and_then(|name| lockfile.entries.get(&path::child("", name)));
        if link.and_then(|link| link.text("resolved").filter(|_| link.is_link())) != Some(directory) {
            return for_npm(format!("the lockfile lacks the workspace {}", quoted(directory)));
        }
    }
    let mut required = BTreeSet::new();
    for own in std::iter::once(root).chain(lockfile.entries.values().filter(|entry| entry.name().is_none())) {
        for dependency in own.dependencies(true, true)? {
            required.extend(specifier::joined(
                &own.path,
                dependency.specifier.strip_prefix("file:").unwrap_or(""),
            ));
        }
    }
    for link in lockfile.entries.values().filter(|entry| entry.is_link()) {
        let target = link.text("resolved").unwrap_or_default();
        if !found.contains(target) && !required.contains(target) {
            return for_npm(format!("{} is neither a workspace nor required", quoted(target)));
        }
    }
    Ok(())
}

fn patterns(root: &Entry) -> Result<Vec<String>> {
    let list = match root.fields.get("workspaces") {
        None => return Ok(Vec::new()),
        Some(Value::Object(all)) => all.get("packages").cloned().unwrap_or_default(),
        Some(list) => list.clone(),
    };
    match list.as_array().map(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect()) {
        Some(Some(all)) => Ok(all),
        _ => root.unusual("workspaces"),
    }
}

/// The directories of a path, or of a path with `*` at its end, that have a package.json.
fn directories(pattern: &str, files: &dyn Files) -> Result<Vec<String>> {
    let plain = pattern.trim_start_matches("./").trim_end_matches('/');
    let (directory, is_all) = match plain.strip_suffix("/*") {
        Some(directory) => (directory, true),
        None if plain == "*" => ("", true),
        None => (plain, false),
    };
    if directory.contains(['*', '?', '[', ']', '{', '}', '!', '\\', '(', ')'])
        || directory.split('/').any(|name| name == "..")
    {
        return for_npm(format!("the pattern {} of workspaces is not read here", quoted(pattern)));
    }
    let all = match is_all {
        true => files.directories(directory).into_iter().map(|name| joined(directory, &name)).collect(),
        false => vec![directory.to_owned()],
    };
    let is_package = |path: &String| {
        let is_hidden =
            path.rsplit('/').next().is_some_and(|name| name.starts_with('.') || name == "node_modules");
        !is_hidden && files.exists(&joined(path, "package.json"))
    };
    Ok(all.into_iter().filter(is_package).collect())
}
