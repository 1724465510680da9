//! The text of a lockfile as entries, with bounds.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::entry::Entry;
use super::{Result, for_npm, path, quoted, refused};

/// In bytes. A lockfile of 2,000 packages has one MiB.
pub const LARGEST: usize = 64 << 20;
/// Five times what the largest known projects have.
const ENTRIES: usize = 50_000;
/// Keys at the top that npm writes.
const KNOWN: &[&str] = &["name", "version", "lockfileVersion", "requires", "packages", "dependencies"];

/// A lockfile of version 2 or 3.
#[derive(Debug)]
pub struct Lockfile {
    /// What it says about the project itself.
    pub root: Entry,
    /// By their paths.
    pub entries: BTreeMap<String, Entry>,
    pub name: Option<Value>,
    pub version: Option<Value>,
    /// The white space of one level, with which npm also writes the hidden lockfile.
    pub indent: String,
}

pub fn parse(text: &str) -> Result<Lockfile> {
    if text.len() > LARGEST {
        return refused(format!("the lockfile has more than {} MiB", LARGEST >> 20));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A merge conflict, which npm resolves, is not JSON either.
    let Ok(Value::Object(mut all)) = serde_json::from_str(text) else {
        return for_npm("the lockfile is not valid JSON");
    };
    match all.get("lockfileVersion").and_then(Value::as_u64) {
        Some(2 | 3) => {}
        Some(1) | None => return for_npm("the lockfile has version 1, which lacks what is installed where"),
        Some(other) => return for_npm(format!("the lockfile has version {other}")),
    }
    if let Some(key) = all.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return for_npm(format!("the lockfile has the key {}", quoted(key)));
    }
    if all.get("requires").is_some_and(|requires| *requires != Value::Bool(true)) {
        return for_npm("requires of the lockfile is not true");
    }
    let Some(Value::Object(packages)) = all.remove("packages") else {
        return for_npm("the lockfile has no packages");
    };
    let (root, entries) = entries(packages)?;
    let (name, version) = (all.remove("name"), all.remove("version"));
    Ok(Lockfile { root, entries, name, version, indent: indent(text)? })
}

fn entries(packages: Map<String, Value>) -> Result<(Entry, BTreeMap<String, Entry>)> {
    if packages.len() > ENTRIES {
        return refused(format!("the lockfile has {} packages, more than {ENTRIES}", packages.len()));
    }
    let mut root = None;
    let mut entries = BTreeMap::new();
    for (path, fields) in packages {
        let Value::Object(fields) = fields else {
            return for_npm(format!("the entry {} of the lockfile is not an object", quoted(&path)));
        };
        if path.is_empty() {
            root = Some(Entry { path, fields });
            continue;
        }
        path::check(&path)?;
        entries.insert(path.clone(), Entry { path, fields });
    }
    let Some(root) = root else { return for_npm("the lockfile does not say what the project requires") };
    check_holders(&entries)?;
    Ok((root, entries))
}

/// Each package is in a package that the lockfile has, too, and no two are in one place where the case of letters does not
/// count: npm takes them for one.
fn check_holders(entries: &BTreeMap<String, Entry>) -> Result<()> {
    let mut seen = HashSet::new();
    for path in entries.keys() {
        let Some(modules) = path::modules(path) else { continue };
        if !seen.insert(path.to_lowercase()) {
            return for_npm(format!("another package has the name {} in other letters", quoted(path)));
        }
        let holder = modules.trim_end_matches("node_modules").trim_end_matches('/');
        match entries.get(holder) {
            Some(holder) if !holder.is_link() => {}
            None if holder.is_empty() => {}
            _ => return for_npm(format!("{} is in a package that the lockfile lacks", quoted(path))),
        }
    }
    Ok(())
}

/// The white space before the first key, as npm finds it.
fn indent(text: &str) -> Result<String> {
    let Some(rest) = text.trim_start().strip_prefix('{') else { return Ok("  ".to_owned()) };
    if rest.starts_with("\r\n") {
        return for_npm("the lockfile has Windows line ends");
    }
    let lines = rest.trim_start_matches('\n');
    if lines.len() == rest.len() {
        return Ok("  ".to_owned());
    }
    let indent: String = lines.chars().take_while(|c| *c == ' ' || *c == '\t').collect();
    if indent.is_empty()
        || indent.len() > 10
        || lines.starts_with(|c: char| c.is_whitespace() && c != ' ' && c != '\t')
    {
        return for_npm("the lockfile has an unusual indentation");
    }
    Ok(indent)
}
