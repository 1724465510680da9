//! Where the service's variables come from, by names only: for the settings of a plan, for `env check`, and for the error
//! of values that changed. Adds no steps.

use std::collections::{BTreeMap, BTreeSet};

use super::Wanted;
use super::compose::made_of;
use crate::facts::{ValueFile, ValuePlace, ValueSource};
use crate::observe::manifest::{EnvWish, Manifest};
use crate::observe::secrets::Merged;
use crate::plan::Setting;

/// The settings of `env.from`, `env.compose` and `env.files`; none without them.
pub fn settings(wanted: &Wanted) -> Vec<Setting> {
    let origin = &wanted.manifest_from.value;
    let setting =
        |name: &str, value: String| Setting { name: name.to_owned(), value, origin: origin.clone() };
    let env = &wanted.manifest.env;
    let sources = wanted.values.map(|values| values.sources.as_slice()).unwrap_or_default();
    let sources = sources.iter().map(|source| setting("env.from", described(source)));
    let composed = composed(env).map(|composed| setting("env.compose", composed));
    let files = env.files.iter().map(|file| setting("env.files", made(file)));
    sources.chain(composed).chain(files).collect()
}

/// Each composed variable: `DATABASE_URL of DB_PASSWORD, DB_USER`.
pub fn composed(env: &EnvWish) -> impl Iterator<Item = String> {
    env.compose.keys().map(|name| {
        let parts = made_of(&env.compose, name).into_iter().collect::<Vec<_>>().join(", ");
        format!("{name} of {parts}")
    })
}

/// `config/production.json (json) with A, B`.
pub fn made(file: &ValueFile) -> String {
    let keys = match &file.keys {
        Some(keys) => format!(" with {}", joined(keys)),
        None => String::new(),
    };
    format!("{} ({}){keys}", file.path, file.format.name())
}

fn joined<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// `secret shared/db: user, host as DB_HOST; optional`.
pub fn described(source: &ValueSource) -> String {
    let renamed = source.rename.iter().map(|(old, new)| format!("{old} as {new}"));
    let picked = source.keys.iter().flatten().filter(|key| !source.rename.contains_key(*key));
    let taken: Vec<String> = picked.map(|key| format!("{}{key}", source.prefix)).chain(renamed).collect();
    let all = match (&source.keys, source.prefix.as_str()) {
        (Some(_), _) | (None, "") => None,
        (None, prefix) => Some(format!("all as {prefix}...")),
    };
    let whole = source.whole.iter().map(|name| format!("as {name}"));
    let details: Vec<String> = whole.chain(all).chain(taken).collect();
    let details = if details.is_empty() { String::new() } else { format!(": {}", details.join(", ")) };
    format!("{}{details}{}", source.place, if source.optional { "; optional" } else { "" })
}

/// The places that these variables come from, for an error: `secret a and parameter /b`. If none is known, the service's own
/// secret.
pub fn places(wanted: &Wanted, names: &[String]) -> String {
    let own = || ValuePlace::Secret(wanted.selection.secret.clone());
    let Some(values) = wanted.values else { return own().to_string() };
    let compose = &wanted.manifest.env.compose;
    let parts = names.iter().flat_map(|name| made_of(compose, name));
    let found: BTreeSet<&ValuePlace> =
        parts.filter_map(|part| values.merged.origins.get(&part).map(|origin| &origin.place)).collect();
    match found.is_empty() {
        true => own().to_string(),
        false => found.into_iter().map(ValuePlace::to_string).collect::<Vec<_>>().join(" and "),
    }
}

/// Where each variable of the sources and each composed one comes from, if there is more than the service's own secret.
pub fn origins(manifest: &Manifest, values: &Merged) -> BTreeMap<String, String> {
    let env = &manifest.env;
    if env.from.is_empty() && env.compose.is_empty() {
        return BTreeMap::new();
    }
    let read = values.origins.iter().map(|(name, origin)| (name.clone(), origin.to_string()));
    let composed = env.compose.keys().map(|name| {
        let parts = made_of(&env.compose, name).into_iter().collect::<Vec<_>>().join(", ");
        (name.clone(), format!("composed of {parts}"))
    });
    read.chain(composed).collect()
}
