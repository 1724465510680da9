//! Which sources of values a run reads: those that the manifest names, if the policy allows them. No reads happen here.

use super::Selection;
use super::manifest::Manifest;
use crate::error::{Code, Error, Result};
use crate::facts::ValueSource;

/// The manifest's sources with their placeholders filled in. Fails if the policy does not allow one of them.
pub fn sources(manifest: &Manifest, selection: &Selection) -> Result<Vec<ValueSource>> {
    let fill = |name: &str| {
        name.replace("{service}", selection.service.as_str())
            .replace("{environment}", selection.environment.as_str())
    };
    let filled = manifest.env.from.iter().map(|source| {
        let place = source.place.renamed(fill(source.place.name()));
        match selection.values.allows(&place) {
            true => Ok(ValueSource { place, ..source.clone() }),
            false => Err(not_allowed(&ValueSource { place, ..source.clone() }, selection)),
        }
    });
    filled.collect()
}

fn not_allowed(source: &ValueSource, selection: &Selection) -> Error {
    let place = &source.place;
    let allowed = match selection.values.for_place(place) {
        [] => "none of this kind".to_owned(),
        patterns => patterns.join(", "),
    };
    let key = match place {
        crate::facts::ValuePlace::Secret(_) => "values.secrets",
        _ => "values.parameters",
    };
    let cause = format!("the policy does not allow the {place}; allowed: {allowed}");
    Error::new(Code::PolicyRefused, "reading env.from of the manifest", cause).remedy(format!(
        "choose a name that the policy allows, or let the owner of the AMI add a pattern for it to {key} in the policy"
    ))
}
