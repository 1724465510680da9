//! The JSON schemas by which editors complete and check `bootagent.toml` and `policy.toml`. They are made of the tables of
//! keys in the reference, and held against the parsers: the same keys, and no value is refused that a run accepts.
//! `UPDATE=1 cargo test --test schema` writes them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bootagent::observe::Fragment;
use bootagent::observe::manifest::Manifest;
use bootagent::planner::runtime;
use serde_json::{Value, json};

const SAMPLES: &[&str] = &[
    "true",
    "false",
    "1",
    "3000",
    "70000",
    "\"x\"",
    "\"10s\"",
    "\"max\"",
    "\"400M\"",
    "\"/x\"",
    "[\"x\"]",
    "[200]",
    "[]",
    "{}",
    "{ x = \"y\" }",
    "1.5",
];

fn reference(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name)).unwrap()
}

/// The cells of each row that begins with a key.
fn rows<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let table = text.split_once(head).unwrap().1;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<&str>> =
        lines.map(|line| line.split('|').map(str::trim).collect()).map(inner).collect();
    assert!(rows.len() > 30, "the table of keys is read wrongly");
    rows
}

/// Without what is before the first and behind the last `|`.
fn inner(cells: Vec<&str>) -> Vec<&str> {
    cells[1..cells.len() - 1].to_vec()
}

/// The words in backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Markdown without its marks: of a link only its text.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once("](") {
        let (start, words) = before.rsplit_once('[').unwrap_or((before, ""));
        text.extend([start, words]);
        rest = after.split_once(')').unwrap().1;
    }
    (text + rest).replace('`', "")
}

/// A type of the manifest's table, in the words of JSON schema.
fn kind(words: &str) -> Value {
    let strings = json!({"type": "array", "items": {"type": "string"}});
    let values: Vec<&str> =
        quoted(words).into_iter().filter_map(|word| word.strip_prefix('"')?.strip_suffix('"')).collect();
    let is_enum =
        words.starts_with("`\"") && quoted(words).len() == values.len() && !words.contains("addresses");
    let ends = words.split_once(" to ").and_then(|(from, to)| {
        let to: String = to.chars().take_while(char::is_ascii_digit).collect();
        Some((from.rsplit(' ').next()?.parse::<u32>().ok()?, to.parse::<u32>().ok()?))
    });
    let number = match ends {
        Some((_, to)) if words.contains("below that") => {
            json!({"type": "integer", "minimum": 1, "maximum": to})
        }
        Some((from, to)) => json!({"type": "integer", "minimum": from, "maximum": to}),
        None => json!({"type": "integer"}),
    };
    match words {
        "true or false" | "`true` or `false`" => json!({"type": "boolean"}),
        _ if is_enum => json!({"enum": values}),
        "number as a string" => json!({"type": "string"}),
        "list of tables" => json!({"type": "array", "items": {"type": "object"}}),
        _ if words.starts_with("command, list of commands") => {
            json!({"anyOf": [{"type": "string"}, strings, {"const": false}]})
        }
        _ if words.ends_with("or `false`") => json!({"anyOf": [{"type": "string"}, {"const": false}]}),
        _ if words.starts_with("number or list") => {
            json!({"anyOf": [number, {"type": "array", "items": number}]})
        }
        _ if words.starts_with("number") && !values.is_empty() => {
            json!({"anyOf": [number, {"enum": values}]})
        }
        _ if words.starts_with("number") => number,
        _ if words.starts_with("seconds") => json!({"type": ["integer", "string"]}),
        _ if words.starts_with("list of") && words.contains("or of tables") => {
            json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}})
        }
        _ if words.starts_with("list of") => strings,
        _ if words.starts_with("table of strings") => {
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        }
        _ if words.starts_with("table") => json!({"type": "object"}),
        _ => json!({"type": "string"}),
    }
}

/// The object at this key of another one, which is made if it is not there. A name that is the user's choice is any key.
fn below<'a>(object: &'a mut Value, key: &str) -> &'a mut Value {
    let is_free = key.starts_with(|c: char| c.is_ascii_uppercase() || "<\"".contains(c));
    if is_free {
        if !object["additionalProperties"].is_object() {
            object["additionalProperties"] =
                json!({"type": "object", "additionalProperties": false, "properties": {}});
        }
        return &mut object["additionalProperties"];
    }
    if object["properties"][key].is_null() {
        object["properties"][key] =
            json!({"type": "object", "additionalProperties": false, "properties": {}});
    }
    &mut object["properties"][key]
}

fn root(title: &str) -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "title": title, "type": "object",
        "additionalProperties": false, "properties": {},
    })
}

fn insert(schema: &mut Value, path: &[&str], mut leaf: Value, description: String) {
    leaf["description"] = description.into();
    let (last, tables) = path.split_last().unwrap();
    let table = tables.iter().fold(schema, |table, key| below(table, key));
    *below(table, last) = leaf;
}

fn manifest() -> Value {
    let text = reference("manifest.md");
    let mut schema = root("bootagent.toml: how bootagent builds, starts and checks a service");
    let mut short = Value::Null;
    for row in rows(&text, "| key | type | default | meaning | example |") {
        let [keys, words, default, meaning, _] = row[..] else { panic!("{row:?}") };
        let description = format!("{}. Type: {}. Default: {}", plain(meaning), plain(words), plain(default));
        for key in quoted(keys) {
            let path: Vec<&str> = key.split('.').collect();
            match key {
                "health" => short = json!(description),
                "environments.<name>" => {
                    insert(&mut schema, &path, json!({"$ref": "#"}), description.clone())
                }
                _ => insert(&mut schema, &path, kind(words), description.clone()),
            }
        }
    }
    let table = schema["properties"]["health"].take();
    schema["properties"]["health"] = json!({"anyOf": [{"type": "string"}, table], "description": short});
    schema
}

/// The JSON types of what the policy's parser takes for a key. Where none of the samples is right, it is a text.
fn accepted(table: &str, key: &str) -> Value {
    let whole = |sample: &str| {
        if table.is_empty() { format!("{key} = {sample}") } else { format!("[{table}]\n{key} = {sample}") }
    };
    let types = SAMPLES.iter().filter(|sample| toml::from_str::<Fragment>(&whole(sample)).is_ok());
    let types: BTreeSet<&str> = types.map(|sample| type_of(&parsed(&format!("x = {sample}"))["x"])).collect();
    match types.into_iter().collect::<Vec<_>>().as_slice() {
        [] if ["host_keys", "components", "trust", "services"].contains(&key) => {
            json!({"type": "array", "items": {"type": "string"}})
        }
        [] => json!({"type": "string"}),
        [one] => json!({"type": one}),
        several => json!({"type": several}),
    }
}

fn policy() -> Value {
    let text = reference("policy.md");
    let mut schema = root("/etc/bootagent/policy.toml: what bootagent may do on a machine");
    for row in rows(&text, "| Key | Flag | Default | Meaning |") {
        let [keys, _, default, meaning] = row[..] else { panic!("{row:?}") };
        let description = format!("{}. Default: {}", plain(meaning), plain(default));
        let mut words = quoted(keys);
        let table =
            words[0].strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or_default().to_owned();
        words.retain(|word| !word.starts_with('['));
        let path: Vec<&str> = table.split('.').filter(|part| !part.is_empty()).collect();
        if words.is_empty() {
            insert(
                &mut schema,
                &path,
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                description,
            );
            continue;
        }
        for key in words {
            let kind = match (table.as_str(), key) {
                ("archives.uv", "checksums") => {
                    json!({"type": "object", "additionalProperties": {"type": "string"}})
                }
                _ => accepted(&table, key),
            };
            insert(&mut schema, &[&path[..], &[key]].concat(), kind, description.clone());
        }
    }
    // Archives of other runtimes have the same table.
    let node = schema["properties"]["node"].clone();
    schema["properties"]["archives"]["properties"]["node"] = node;
    schema
}

fn parsed(text: &str) -> Value {
    toml::from_str(text).unwrap()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.as_i64().is_some() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether a value fits, by those words of JSON schema that are used here.
fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    if schema["$ref"] == "#" {
        return fits(root, root, value);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().any(|schema| fits(root, schema, value));
    }
    let is_type = match &schema["type"] {
        Value::Null => true,
        Value::String(name) => *name == type_of(value),
        several => several.as_array().unwrap().iter().any(|name| name == type_of(value)),
    };
    let in_range = value.as_i64().is_none_or(|number| {
        schema["minimum"].as_i64().is_none_or(|least| number >= least)
            && schema["maximum"].as_i64().is_none_or(|most| number <= most)
    });
    let is_one = schema["enum"].as_array().is_none_or(|all| all.contains(value));
    let is_const = schema.get("const").is_none_or(|only| only == value);
    let items = value.as_array().into_iter().flatten();
    let all_items =
        schema.get("items").is_none_or(|schema| items.clone().all(|item| fits(root, schema, item)));
    let all_keys = value.as_object().into_iter().flatten().all(|(key, value)| {
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(schema), _) => fits(root, schema, value),
            (None, Some(Value::Bool(allowed))) => *allowed,
            (None, Some(schema)) => fits(root, schema, value),
            (None, None) => true,
        }
    });
    is_type && in_range && is_one && is_const && all_items && all_keys
}

fn is_manifest(text: &str) -> Result<(), String> {
    let read = Manifest::parse("bootagent.toml", text, None, &runtime::tables());
    read.map(|_| ()).map_err(|error| error.to_string())
}

/// Compares with the file that is committed, or writes it.
fn committed(name: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{name} is not what the reference says: UPDATE=1 cargo test --test schema");
}

#[test]
fn the_schemas_are_those_of_the_reference() {
    committed("bootagent.schema.json", &manifest());
    committed("policy.schema.json", &policy());
}

/// All keys that lead to values, and the tables on the way, each as a TOML key.
fn keys(schema: &Value, at: &str, found: &mut Vec<String>) {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    for schema in [schema].into_iter().chain(alternatives) {
        let named = schema["properties"].as_object().into_iter().flatten();
        let free = schema["additionalProperties"]
            .as_object()
            .map(|_| ("name".to_owned(), &schema["additionalProperties"]));
        for (key, schema) in named.map(|(key, schema)| (key.clone(), schema)).chain(free) {
            let path = if at.is_empty() { key } else { format!("{at}.{key}") };
            keys(schema, &path, found);
            found.push(path);
        }
    }
}

#[test]
fn no_value_is_refused_that_a_run_accepts() {
    let (manifest, policy) = (manifest(), policy());
    let mut seen = 0;
    let mut check = |schema: &Value, is_accepted: &dyn Fn(&str) -> bool| {
        let mut all = Vec::new();
        keys(schema, "", &mut all);
        for key in &all {
            // serde takes a list for a table, by the order of its fields. No editor should.
            let is_table = all.iter().any(|other| other.starts_with(&format!("{key}.")));
            let samples = SAMPLES.iter().filter(|sample| !is_table || !sample.starts_with('['));
            for text in samples.map(|sample| format!("{key} = {sample}")) {
                if is_accepted(&text) {
                    seen += 1;
                    assert!(fits(schema, schema, &parsed(&text)), "a run accepts {text}");
                }
            }
        }
    };
    check(&manifest, &|text| is_manifest(text).is_ok());
    check(&policy, &|text| toml::from_str::<Fragment>(text).is_ok());
    assert!(seen > 100, "{seen}");
}

/// All files of this name below a directory.
fn files(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => files(&path, name, found),
            false if path.file_name().is_some_and(|file| file == name) => found.push(path),
            false => {}
        }
    }
}

#[test]
fn every_manifest_of_the_tests_that_a_run_accepts_fits() {
    let (schema, mut found, mut seen) = (manifest(), Vec::new(), 0);
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), "bootagent.toml", &mut found);
    for path in found {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if is_manifest(&text).is_ok() {
            seen += 1;
            assert!(fits(&schema, &schema, &parsed(&text)), "{}", path.display());
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn each_key_of_the_parsers_is_in_the_schemas() {
    // Like no key, so that the parser names all that it knows.
    let names = |message: String, after: &str| {
        let list = message
            .split_once(after)
            .unwrap_or_else(|| panic!("{message}"))
            .1
            .lines()
            .next()
            .unwrap()
            .to_owned();
        let words =
            list.split([',', ' ', '`']).map(str::trim).filter(|word| !word.is_empty() && *word != "or");
        words
            .map(|word| word.trim_end_matches(']').to_owned())
            .take_while(|word| !word.starts_with('['))
            .collect::<BTreeSet<_>>()
    };
    let of =
        |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let schema = manifest();
    let known = |text: &str| names(is_manifest(text).unwrap_err(), "known here: ");
    assert_eq!(known("qqqqqqqqqqqq = 1"), of(&schema));
    for table in ["limits", "pm2", "env", "proxy", "volume", "docker", "static", "node"] {
        assert_eq!(
            known(&format!("[{table}]\nqqqqqqqqqqqq = 1")),
            of(&schema["properties"][table]),
            "{table}"
        );
    }
    let schema = policy();
    let known = |text: &str| {
        names(toml::from_str::<Fragment>(text).unwrap_err().message().to_owned(), "expected one of ")
    };
    assert_eq!(known("qqqqqqqqqqqq = 1"), of(&schema));
    for table in ["imds", "tags", "network", "lifecycle"] {
        assert_eq!(
            known(&format!("[{table}]\nqqqqqqqqqqqq = 1")),
            of(&schema["properties"][table]),
            "{table}"
        );
    }
}

#[test]
fn mistakes_are_refused() {
    let manifest = manifest();
    for text in [
        "prot = 3000",
        "port = \"3000\"",
        "port = 70000",
        "health = 3",
        "[health]\npth = \"/\"",
        "persist = \"x\"",
        "supervisor = \"upstart\"",
        "[environments.prod]\nprot = 1",
        "[pm2]\ninstances = 65",
        "install = true",
    ] {
        assert!(!fits(&manifest, &manifest, &parsed(text)), "{text}");
    }
    let policy = policy();
    for text in [
        "repo = \"x\"",
        "services = \"x\"",
        "[imds]\nservice = \"no\"",
        "[node.checksums]\nx = 1",
        "budget = []",
    ] {
        assert!(!fits(&policy, &policy, &parsed(text)), "{text}");
    }
}
