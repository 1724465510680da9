//! JSON: one flat object of strings, for services that read a configuration file. It carries every text.

use serde_json::{Map, Value};

use super::{Dialect, IfUncarried};
use crate::observe::secrets::{Variables, is_name};
use crate::secret::Secret;

pub const JSON: Dialect =
    Dialect { name: "json", file: "a JSON file", write, read, uncarried, if_uncarried: IfUncarried::Refuse };

/// JSON has no comments, so the header is left out.
fn write(variables: &Variables, _header: &str) -> (String, Variables, Vec<String>) {
    let members = variables.iter().map(|(name, value)| (name.to_owned(), Value::from(value.expose())));
    let object = Value::Object(members.collect::<Map<_, _>>());
    (format!("{object:#}\n"), variables.clone(), Vec::new())
}

fn uncarried(_key: &str, value: &Secret) -> Option<&'static str> {
    value.expose().contains('\0').then_some("contains a NUL byte")
}

fn read(text: &str) -> Option<Variables> {
    let members: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut variables = Variables::default();
    for (name, value) in members {
        let Value::String(value) = value else { return None };
        if !is_name(&name) {
            return None;
        }
        variables.insert(name, Secret::new(value));
    }
    Some(variables)
}
