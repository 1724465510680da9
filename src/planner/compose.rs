//! Values that are composed of other variables (`env.compose`). Errors have names, never values.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Code, Error, Result};
use crate::facts::{Part, Template};
use crate::observe::secrets::{Variables, is_name};
use crate::secret::Secret;

/// Bytes of one composed value: Linux accepts twice as much. Without a limit, values composed of composed ones double with
/// each step.
const LONGEST: usize = 65_536;

/// The composed values. `known` are all other variables.
pub fn compose(templates: &BTreeMap<String, String>, known: &Variables) -> Result<Variables> {
    let mut composing = Composing { templates, known, done: Variables::default() };
    for name in templates.keys() {
        composing.value(name, &mut Vec::new())?;
    }
    Ok(composing.done)
}

struct Composing<'a> {
    templates: &'a BTreeMap<String, String>,
    known: &'a Variables,
    done: Variables,
}

impl Composing<'_> {
    /// `path` has the names that are being composed: it is never longer than there are templates.
    fn value(&mut self, name: &str, path: &mut Vec<String>) -> Result<()> {
        if self.done.get(name).is_some() {
            return Ok(());
        }
        let Some(text) = self.templates.get(name) else { return Ok(()) };
        if path.iter().any(|before| before == name) {
            let circle = path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(" of ");
            return Err(invalid(name, format!("{circle} is composed of itself")));
        }
        let template = Template::parse(text, is_name).map_err(|what| invalid(name, format!("it {what}")))?;
        path.push(name.to_owned());
        let mut value = zeroize::Zeroizing::new(String::new());
        for part in &template.parts {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Name { name: inner, form } => {
                    self.value(inner, path)?;
                    let known = self.done.get(inner).or_else(|| self.known.get(inner));
                    form.write(known.ok_or_else(|| unknown(name, inner))?.expose(), &mut value);
                }
            }
            if value.len() > LONGEST {
                return Err(invalid(name, format!("it has more than {LONGEST} bytes, which is the limit")));
            }
        }
        path.pop();
        self.done.insert(name, Secret::new(value.as_str()));
        Ok(())
    }
}

fn doing(name: &str) -> String {
    format!("composing {name} of env.compose")
}

fn invalid(name: &str, cause: String) -> Error {
    Error::new(Code::ManifestInvalid, doing(name), cause)
}

fn unknown(name: &str, inner: &str) -> Error {
    Error::new(Code::SecretKeyMissing, doing(name), format!("it needs {inner}, and no source sets {inner}")).remedy(
        format!("add {inner} to the secret or another source, or correct the name in env.compose of bootagent.toml"),
    )
}

/// The names that a composed value is made of, those of other composed values followed to their end.
pub fn made_of<'a>(templates: &'a BTreeMap<String, String>, name: &'a str) -> BTreeSet<String> {
    let (mut seen, mut due, mut leaves) = (BTreeSet::new(), vec![name.to_owned()], BTreeSet::new());
    while let Some(name) = due.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let template = templates.get(&name).and_then(|text| Template::parse(text, is_name).ok());
        match template {
            Some(template) => due.extend(template.names().into_iter().map(str::to_owned)),
            None => drop(leaves.insert(name)),
        }
    }
    leaves
}

/// The secret's variables, and the composed values that have a part of it.
pub fn confidential(
    templates: &BTreeMap<String, String>,
    secret: Option<&Variables>,
    all: &Variables,
) -> Variables {
    let mut confidential = secret.cloned().unwrap_or_default();
    for name in templates.keys() {
        let has_secret =
            made_of(templates, name).iter().any(|part| secret.is_some_and(|of| of.get(part).is_some()));
        if let Some(value) = all.get(name).filter(|_| has_secret) {
            confidential.insert(name, value.clone());
        }
    }
    confidential
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
