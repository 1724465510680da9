//! Parses `env.compose`: values that are made of other variables.

use std::collections::{BTreeMap, BTreeSet};

use super::spanned::{Fault, Item, Placed, Read};
use super::values::{Variable, not_a_name};
use crate::facts::Template;
use crate::observe::secrets::{is_name, refusal};

pub const MOST_COMPOSED: usize = 100;

/// The texts by variable, each of them a well-formed template.
pub(super) fn templates(item: &Item<'_>) -> Read<BTreeMap<String, Placed<Variable>>> {
    let mut templates = BTreeMap::new();
    for (name, at, item) in item.bounded_table(MOST_COMPOSED)?.entries() {
        if !is_name(name) {
            return Err(Fault { at, what: format!("env.compose {}", not_a_name(name)) });
        }
        let text =
            item.string("a string like \"postgres://{DB_USER:url}:{DB_PASSWORD:url}@{DB_HOST}/app\"")?;
        if text.contains('\0') {
            return Err(item.fault("has a NUL character, which no environment variable can contain"));
        }
        let template = Template::parse(text, is_name).map_err(|what| item.fault(what))?;
        if template.names().is_empty() {
            return Err(item.fault("names no variable in braces: a fixed value belongs in env.values"));
        }
        let variable = Variable { text: text.to_owned(), refusal: refusal(name) };
        templates.insert(name.to_owned(), item.placed(variable));
    }
    Ok(templates)
}

/// Fails if a value is composed of itself, over whatever number of others.
pub(super) fn refuse_circle(templates: &BTreeMap<String, Placed<Variable>>) -> Read<()> {
    let names = |text: &str| -> Vec<String> {
        let parsed = Template::parse(text, is_name).unwrap_or_default();
        parsed.names().into_iter().map(str::to_owned).collect()
    };
    let of: BTreeMap<&str, Vec<String>> =
        templates.iter().map(|(name, template)| (name.as_str(), names(&template.value.text))).collect();
    let mut done = BTreeSet::new();
    for (name, template) in templates {
        if let Some(circle) = circle(name, &of, &mut Vec::new(), &mut done) {
            let what = format!("env.compose: {} is composed of itself", circle.join(" of "));
            return Err(Fault { at: template.at, what });
        }
    }
    Ok(())
}

/// The names from one to the same again. `path` is never longer than there are templates.
fn circle(
    name: &str,
    of: &BTreeMap<&str, Vec<String>>,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(at) = path.iter().position(|before| before == name) {
        let names = path[at..].iter().cloned().chain([name.to_owned()]);
        return Some(names.collect());
    }
    if done.contains(name) {
        return None;
    }
    path.push(name.to_owned());
    let found = of.get(name).into_iter().flatten().find_map(|inner| circle(inner, of, path, done));
    path.pop();
    done.insert(name.to_owned());
    found
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse("bootagent.toml", text, None, &[])
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn templates_are_kept_as_they_are_written() {
        let manifest = parse("[env.compose]\nURL = \"x://{A:url}@{{{B}\"\n").unwrap();
        assert_eq!(manifest.env.compose, [("URL".to_owned(), "x://{A:url}@{{{B}".to_owned())].into());
    }

    #[test]
    fn an_overlay_adds_to_the_templates_and_replaces_those_of_the_same_name() {
        let text = "[env.compose]\nA = \"{X}\"\nB = \"{X}\"\n[environments.prod.env.compose]\nB = \"{Y}\"\nC = \"{Z}\"\n";
        let prod = Environment::try_from("prod").unwrap();
        let overlaid = Manifest::parse("bootagent.toml", text, Some(&prod), &[]).unwrap().env.compose;
        let shown: Vec<(&str, &str)> =
            overlaid.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(shown, [("A", "{X}"), ("B", "{Y}"), ("C", "{Z}")]);
    }

    #[test]
    fn a_circle_is_named() {
        let text = "[env.compose]\nA = \"{B}\"\nB = \"x{C}{D}\"\nC = \"{A}\"\n";
        assert!(
            refused(text).contains("2:5: env.compose: A of B of C of A is composed of itself"),
            "{}",
            refused(text)
        );
        let text = "[env.compose]\nA = \"{A}?ssl=1\"\n";
        assert!(refused(text).contains("A of A is composed of itself"), "{}", refused(text));
        // Used twice is not a circle.
        assert!(parse("[env.compose]\nA = \"{B}{C}\"\nB = \"{D}\"\nC = \"{D}\"\nD = \"{E}\"\n").is_ok());
    }

    #[test]
    fn a_circle_that_only_an_overlay_closes_is_found_in_every_environment() {
        let text = "[env.compose]\nA = \"{B}\"\n[environments.prod.env.compose]\nB = \"{A}\"\n";
        assert!(refused(text).contains("composed of itself"), "{}", refused(text));
    }

    #[test]
    fn other_text_is_refused_with_its_place() {
        for (value, says) in [
            ("1", "is an integer"),
            ("\"{A\"", "2:5: env.compose.X has a brace without its counterpart"),
            ("\"{A:hex}\"", ":url"),
            ("\"{a-b}\"", "not a variable name"),
            ("\"plain\"", "belongs in env.values"),
            ("\"{A}\\u0000\"", "NUL"),
        ] {
            let error = refused(&format!("[env.compose]\nX = {value}\n"));
            assert!(error.contains(says) && error.contains("[E-MANIFEST-INVALID]"), "{value}: {error}");
        }
        assert!(refused("[env.compose]\n\"a b\" = \"{A}\"\n").contains("expected a variable name"));
        assert!(
            refused("[env.compose]\nLD_PRELOAD = \"{A}\"\n").contains("env.compose.LD_PRELOAD is refused")
        );
        assert!(refused("[env.compose]\nNODE_OPTIONS = \"{A}\"\n").contains("is refused"));
        assert!(parse("env.allow = [\"NODE_OPTIONS\"]\n[env.compose]\nNODE_OPTIONS = \"{A}\"\n").is_ok());
    }
}
