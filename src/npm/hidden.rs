//! The text of `node_modules/.package-lock.json`, which npm writes after an installation: what is placed, in npm's order
//! of keys.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::collate::compare;
use super::entry::{Entry, is_empty};
use super::lockfile::Lockfile;
use super::{Result, bins, for_npm};

/// Before all other keys, on every level.
const FIRST: &[&str] =
    &["name", "version", "lockfileVersion", "resolved", "integrity", "requires", "packages", "dependencies"];
/// What npm keeps of an entry, if it is not empty.
pub const KEPT: &[&str] = &[
    "name",
    "version",
    "resolved",
    "integrity",
    "dependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "optionalDependencies",
    "bundleDependencies",
    "acceptDependencies",
    "funding",
    "engines",
    "os",
    "cpu",
    "libc",
    "license",
    "hasInstallScript",
    "bin",
    "deprecated",
    "workspaces",
    "inBundle",
    "peer",
    "dev",
    "optional",
];

/// `placed` in any order. Of bundled packages, `peers` are those that npm calls peers, whatever the lockfile says.
pub fn text(lockfile: &Lockfile, placed: &[&Entry], peers: &BTreeSet<String>) -> Result<String> {
    let kept = |entry: &Entry| match kept(entry) {
        Value::Object(mut fields) if entry.is("inBundle") => {
            fields.insert("peer".to_owned(), json!(peers.contains(&entry.path)));
            fields.retain(|_, value| !is_empty(value));
            Value::Object(fields)
        }
        fields => fields,
    };
    let packages: Map<String, Value> = placed.iter().map(|entry| (entry.path.clone(), kept(entry))).collect();
    let mut all = Map::new();
    for (key, value) in [("name", &lockfile.name), ("version", &lockfile.version)] {
        if let Some(value) = value {
            all.insert(key.to_owned(), value.clone());
        }
    }
    all.insert("lockfileVersion".to_owned(), json!(3));
    all.insert("requires".to_owned(), json!(true));
    all.insert("packages".to_owned(), Value::Object(packages));
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(lockfile.indent.as_bytes());
    let written =
        sorted(&Value::Object(all)).serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    bytes.push(b'\n');
    match (written, String::from_utf8(bytes)) {
        (Ok(()), Ok(text)) => Ok(text),
        _ => for_npm("the hidden lockfile cannot be written"),
    }
}

fn kept(entry: &Entry) -> Value {
    if entry.is_link() {
        return json!({ "resolved": entry.fields.get("resolved"), "link": true });
    }
    let mut fields = Map::new();
    for key in KEPT {
        let Some(value) = entry.fields.get(*key).filter(|value| !is_empty(value)) else { continue };
        fields.insert((*key).to_owned(), value.clone());
    }
    if let Some(kind) = fields.get("license").and_then(|license| license.get("type")).cloned() {
        fields.insert("license".to_owned(), kind);
    }
    if fields.contains_key("bin") {
        let clean: Map<String, Value> =
            bins::of(entry).into_iter().map(|(name, file)| (name, Value::String(file))).collect();
        match clean.is_empty() {
            true => fields.shift_remove("bin"),
            false => fields.insert("bin".to_owned(), Value::Object(clean)),
        };
    }
    if entry.name().is_none() {
        // Also if it is empty.
        let development = entry.fields.get("devDependencies").filter(|value| value.is_object());
        fields.extend(development.map(|value| ("devDependencies".to_owned(), value.clone())));
    }
    if entry.is("devOptional") && !entry.is("dev") && !entry.is("optional") {
        fields.insert("devOptional".to_owned(), json!(true));
    }
    Value::Object(fields)
}

/// In npm's order, on every level: values before objects, the first keys before others.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(all) => {
            let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
            let mut all: Vec<(&String, &Value)> = all.iter().collect();
            all.sort_by(|(a, in_a), (b, in_b)| {
                let objects = in_a.is_object().cmp(&in_b.is_object());
                objects.then_with(|| rank(a).cmp(&rank(b))).then_with(|| compare(a, b))
            });
            Value::Object(all.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
