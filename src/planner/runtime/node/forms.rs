//! The forms in which a package describes itself: package.json, and the two that only pnpm reads, package.json5 and
//! package.yaml. Pure.

use serde_json::{Map, Value};

use super::json5;
use crate::facts::Source;
use crate::planner::runtime::yaml_tree::{self, Node};

pub const JSON: &str = "package.json";
/// In the order in which pnpm looks for them, behind package.json.
pub const OF_PNPM: [&str; 2] = ["package.json5", "package.yaml"];

/// The file that describes the package in the root of `source`.
pub fn file(source: &Source) -> Option<&'static str> {
    [JSON].into_iter().chain(OF_PNPM).find(|path| source.has(path))
}

/// The directory below the root that a file describes: `apps/api` for `apps/api/package.json`. `pnpm`: in any form.
pub fn directory(path: &str, pnpm: bool) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    (name == JSON || pnpm && OF_PNPM.contains(&name)).then_some(directory)
}

/// A text in YAML as the object that it is. A number keeps its text: `1.10` is a version, not `1.1`.
pub fn of_yaml(text: &str) -> Result<Map<String, Value>, String> {
    match value(yaml_tree::read(text)?) {
        Value::Object(object) => Ok(object),
        _ => Err("it is not a mapping".to_owned()),
    }
}

fn value(node: Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Plain(word) if word == "true" || word == "false" => Value::Bool(word == "true"),
        Node::Plain(text) | Node::Text(text) => Value::String(text),
        Node::List(items) => items.into_iter().map(value).collect(),
        Node::Map(entries) => entries.into_iter().map(|(key, node)| (key, value(node))).collect(),
    }
}

/// The text in JSON, of the form that the file's name tells.
pub fn json(path: &str, text: &str) -> String {
    // npm ignores a byte order mark, too.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if path.ends_with(OF_PNPM[0]) { json5::as_json(text) } else { text.to_owned() }
}

pub fn is_yaml(path: &str) -> bool {
    path.ends_with(OF_PNPM[1])
}

#[cfg(test)]
mod tests {
    use crate::facts::testing::source;
    use crate::planner::runtime::node::manager::selected;
    use crate::planner::runtime::node::package;

    #[test]
    fn a_form_of_pnpms_is_for_pnpm_alone() {
        let of = |files: &[(&str, &str)], text: &str| {
            selected(&source(files), &package::parse("package.json5", text)?)
                .map(|chosen| chosen.manager.name)
        };
        for (files, text) in [
            (&[][..], "{/* none */}"),
            (&[("pnpm-lock.yaml", "")], "{}"),
            (&[("yarn.lock", ""), ("pnpm-lock.yaml", "")], "{packageManager: 'pnpm@9.1.0',}"),
        ] {
            assert_eq!(of(files, text).unwrap(), "pnpm", "{text}");
        }
        for (files, text) in [
            (&[("package-lock.json", "")][..], "{}"),
            (&[], "{packageManager: 'yarn@4.1.0'}"),
            (&[], "{scripts: {start: 'bun x.ts'}}"),
        ] {
            let error = of(files, text).unwrap_err();
            assert!(error.to_string().contains("only pnpm reads package.json5"), "{error}");
        }
    }
}
