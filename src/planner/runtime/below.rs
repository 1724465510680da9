//! Directories that may be the service, where the root is not. Pure.

use super::procfile::in_toml;
use crate::facts::Source;
use crate::secret::excerpt;

/// How many an error names.
const NAMED: usize = 3;
/// Names of directories that serve, and of those that do not.
const SERVES: [&str; 6] = ["server", "backend", "api", "service", "app", "web"];
const IS_SHOWN: [&str; 4] = ["client", "frontend", "ui", "mobile"];
const HELPS: [&str; 14] = [
    "test",
    "tests",
    "e2e",
    "playwright",
    "cypress",
    "docs",
    "doc",
    "example",
    "examples",
    "scripts",
    "tools",
    "infra",
    "fixtures",
    "benchmarks",
];

/// Such files in directories, the likeliest first: the service is often in `server/`.
pub fn files_below<'a>(source: &'a Source, files: &[&str]) -> Vec<&'a str> {
    let is_one = |path: &&str| {
        path.rsplit_once('/')
            .is_some_and(|(directory, name)| files.contains(&name) && !directory.contains("node_modules"))
    };
    let mut found: Vec<&str> =
        source.entries.iter().map(|entry| entry.path.as_str()).filter(is_one).collect();
    found.sort_by_key(|path| {
        let (helps, serves) = likelihood(path);
        (helps, path.matches('/').count(), serves, *path)
    });
    found.truncate(NAMED);
    found
}

/// How unlikely it is that the path leads to a service: whether it only helps, and how it is called.
pub fn likelihood(path: &str) -> (bool, u8) {
    let has = |names: &[&str]| path.split('/').any(|part| names.contains(&part));
    (has(&HELPS), if has(&IS_SHOWN) { 2 } else { u8::from(!has(&SERVES)) })
}

/// The line of the manifest that names the first one's directory.
pub fn remedy(source: &Source, files: &[&str]) -> Option<String> {
    let first = source.in_repository(files.first()?);
    let directory = first.rsplit_once('/').map_or(first.as_str(), |(directory, _)| directory);
    let directory = in_toml(&excerpt(directory));
    let other = if files.len() > 1 { " (or another of them)" } else { "" };
    Some(format!("directory = {directory}{other} into bootagent.toml at the root"))
}
