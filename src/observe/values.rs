//! Reads a service's values. They come from a list of sources, which are read at the same time and merged in order: those
//! of the manifest's `env.from`, and then the service's own secret, which overrides them. `--env-file` stands for all.

use futures_util::future::try_join_all;

use super::Selection;
use super::flag_file::flag_file;
use super::manifest::Manifest;
use super::policy::{Flags, Policy};
use super::reads::{patience, region};
use super::secrets::{self, Collected, Content, PlaceValues};
use crate::error::{Error, Result};
use crate::facts::{Facts, Ingredients, Instance, Network, ValuePlace, ValueSource};
use crate::fault::Fault;
use crate::machine::{Observe, SecretPatience, blocking};
use crate::plan::Seconds;
use crate::secret::Secret;

/// Reads the service's own secret, or the file that `--env-file` names in its place.
pub async fn own_values(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    flags: &Flags,
    policy: &Policy,
) -> Result<PlaceValues> {
    let place = ValuePlace::Secret(selection.secret.clone());
    let text = match &flags.overrides.env_file {
        Some(path) => Secret::new(flag_file(machine, path, "--env-file").await?),
        None => {
            let patience = patience(selection, facts, flags, policy);
            let read = machine.secret(&selection.secret, region(facts), &selection.network, patience);
            let read_by = ["service", "environment", "secret"];
            read.await.map_err(|error| selection.origins.explain(error, &read_by))?
        }
    };
    Ok(PlaceValues { place, content: Content::Text(text) })
}

/// Reads the manifest's sources, each place once. Nothing if a file stands for all.
pub async fn further_values(
    machine: &impl Observe,
    sources: &[ValueSource],
    (selection, facts): (&Selection, &Facts),
    flags: &Flags,
    policy: &Policy,
) -> Result<Vec<PlaceValues>> {
    if flags.overrides.env_file.is_some() {
        return Ok(Vec::new());
    }
    let patience = patience(selection, facts, flags, policy);
    read_all(machine, sources, region(facts), &selection.network, patience).await
}

async fn read_all(
    machine: &impl Observe,
    sources: &[ValueSource],
    region: Option<&str>,
    network: &Network,
    patience: SecretPatience,
) -> Result<Vec<PlaceValues>> {
    let mut places: Vec<&ValuePlace> = sources.iter().map(|source| &source.place).collect();
    places.sort_unstable();
    places.dedup();
    let reads = places.into_iter().map(async |place| {
        let read = read(machine, place, region, network, patience).await;
        let is_optional =
            sources.iter().filter(|source| source.place == *place).all(|source| source.optional);
        let content = match read {
            Err(error) if is_optional && is_missing(&error) => Content::Absent,
            read => read.map_err(remedied)?,
        };
        Ok(PlaceValues { place: place.clone(), content })
    });
    try_join_all(reads).await
}

async fn read(
    machine: &impl Observe,
    place: &ValuePlace,
    region: Option<&str>,
    network: &Network,
    patience: SecretPatience,
) -> Result<Content> {
    match place {
        ValuePlace::Secret(name) => machine.secret(name, region, network, patience).await.map(Content::Text),
        ValuePlace::Parameter(_) => {
            let read = machine.parameters(place, region, network, patience).await?;
            let one = read.into_iter().next().map(|(_, value)| Content::Text(value));
            Ok(one.unwrap_or(Content::Absent))
        }
        ValuePlace::Parameters(_) => {
            machine.parameters(place, region, network, patience).await.map(Content::Listed)
        }
    }
}

/// Names `env.from` in the remedy, where the source is named.
fn remedied(error: Error) -> Error {
    let what = match Fault::of(&error) {
        Some(Fault::SecretMissing) => "secret",
        Some(Fault::ParameterMissing) => "parameter",
        _ => return error,
    };
    error.remedy(format!(
        "create the {what} in this region, correct env.from in bootagent.toml, or set optional = true there"
    ))
}

fn is_missing(error: &Error) -> bool {
    matches!(Fault::of(error), Some(Fault::SecretMissing | Fault::ParameterMissing))
}

/// The variables of all sources, merged; `own` is what was read of the service's own secret.
pub async fn collected(
    manifest: &Manifest,
    sources: Vec<ValueSource>,
    own: Option<PlaceValues>,
    further: Vec<PlaceValues>,
    flags: &Flags,
) -> Result<Collected> {
    let (allow, is_file) = (manifest.env.allow.clone(), flags.overrides.env_file.is_some());
    blocking(move || {
        let own_source = own.iter().map(|own| ValueSource::whole(own.place.clone()));
        let merged: Vec<ValueSource> =
            sources.iter().filter(|_| !is_file).cloned().chain(own_source).collect();
        let read: Vec<PlaceValues> = further.into_iter().chain(own).collect();
        let merged = secrets::merge(&merged, &read, Some(&allow))?;
        Ok(Collected { merged, sources, read })
    })
    .await
}

/// Reads the sources of a kept release; `None` if the release has none.
pub async fn variables_of(
    machine: &impl Observe,
    ingredients: &Ingredients,
    instance: &Instance,
    network: &Network,
    wait: Seconds,
) -> Result<Option<secrets::Variables>> {
    let own = ingredients.secret.clone().map(|name| ValueSource::whole(ValuePlace::Secret(name)));
    let sources: Vec<ValueSource> = ingredients.sources.iter().cloned().chain(own).collect();
    if sources.is_empty() {
        return Ok(None);
    }
    let patience = SecretPatience { time: wait, waits_for_permission: false };
    let read = read_all(machine, &sources, Some(&instance.region), network, patience).await?;
    let allow = ingredients.allow.clone();
    blocking(move || secrets::merge(&sources, &read, Some(&allow))).await.map(|merged| Some(merged.variables))
}
