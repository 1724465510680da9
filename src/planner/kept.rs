//! Releases that passed and are kept: their own records, how a plan finds them again, and the environment that they
//! are started with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::remember::{good_of, instance, name, text};
use super::runtime::Recipe;
use super::steps::Steps;
use super::{Wanted, dialect, env, header};
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Facts, Generation, Ingredients, Kept, Service, records};
use crate::observe::secrets::Variables;
use crate::observe::{Rendering, Selection};
use crate::plan::layout::Layout;
use crate::secret::Secret;

/// The release of this commit and recipe: one that passed under another name is not built anew. Those of agents that
/// kept no record named a release by more than what makes it; the last one is known by the record that it passed.
pub fn release(wanted: &Wanted, recipe: &Recipe, layout: &Layout) -> PathBuf {
    let (commit, recipe) = (&wanted.source.commit, recipe.fingerprint());
    let service = &wanted.selection.service;
    let passed = |kept: &&Kept| kept.generation.commit == *commit && kept.recipe == recipe;
    if let Some(kept) = all(wanted.facts, service).iter().find(passed) {
        return kept.generation.release.clone();
    }
    let of_old = good_of(wanted.facts, service)
        .map(|good| &good.generation)
        .filter(|generation| generation.commit == *commit && of(wanted.facts, service, generation).is_none());
    of_old.map_or_else(|| layout.release(commit, &recipe), |generation| generation.release.clone())
}

pub fn all<'a>(facts: &'a Facts, service: &Service) -> &'a [Kept] {
    facts.kept.get(service).map(Vec::as_slice).unwrap_or_default()
}

/// A generation's own record.
pub fn of<'a>(facts: &'a Facts, service: &Service, generation: &Generation) -> Option<&'a Kept> {
    all(facts, service).iter().find(|kept| kept.generation.release == generation.release)
}

/// The record from which a commit is planned without git. It came from the same place and branch as it would come
/// from now.
pub fn of_commit<'a>(facts: &'a Facts, selection: &Selection, commit: &Commit) -> Option<&'a Kept> {
    let same = |kept: &&Kept| {
        kept.source.commit == *commit
            && kept.environment == selection.environment
            && kept.source.branch == selection.branch
            && kept.source.repository == selection.repository.trim_end_matches('/')
    };
    all(facts, &selection.service).iter().find(same)
}

/// What the environment is made of beside the secret's values.
pub fn ingredients(wanted: &Wanted, recipe: &Recipe) -> Ingredients {
    let manifest = wanted.manifest;
    let mut under: BTreeMap<String, String> = recipe.defaults.clone();
    under.extend(manifest.port.map(|port| ("PORT".to_owned(), port.to_string())));
    under.extend(manifest.env.values.clone());
    Ingredients {
        secret: wanted.secret.map(|_| wanted.selection.secret.clone()),
        allow: manifest.env.allow.clone(),
        required: manifest.env.required.iter().cloned().collect(),
        under,
        over: recipe.start.environment.clone(),
        dotenv: manifest.env.file,
    }
}

/// Everything the service finds in its environment. What is more specific wins: the runtime's
/// defaults, the manifest, the secret, and last what the start command sets itself.
pub fn variables(service: &Service, of: &Ingredients, secret: Option<&Variables>) -> Result<Variables> {
    let mut all = Variables::default();
    for (name, value) in &of.under {
        all.insert(name, Secret::new(value));
    }
    for (name, value) in secret.into_iter().flat_map(Variables::iter) {
        all.insert(name, value.clone());
    }
    for (name, value) in &of.over {
        all.insert(name, Secret::new(value));
    }
    let missing: Vec<&str> =
        of.required.iter().map(String::as_str).filter(|name| all.get(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(all);
    }
    let missing = missing.join(", ");
    let cause = match &of.secret {
        Some(secret) => format!("{secret} has no {missing}"),
        None => format!("the service has no secret, and nothing else says {missing}"),
    };
    Err(Error::new(Code::SecretKeyMissing, format!("checking the environment of {service}"), cause))
}

/// The environment of a release that passed before, with the secret's values of today.
pub fn rendering(service: &Service, kept: &Kept, secret: Option<&Variables>) -> Result<Rendering> {
    let variables = variables(service, &kept.variables, secret)?;
    let header = header(&Layout::new(service));
    let rendered = env::render(&variables, dialect(kept.variables.dotenv), &header)?;
    Ok(Rendering { service: rendered.service, dotenv: rendered.dotenv })
}

/// The release's own record, from which it is planned and started whatever becomes of git and the policy.
pub fn keep(
    steps: &mut Steps,
    wanted: &Wanted,
    recipe: &Recipe,
    generation: &Generation,
    layout: &Layout,
) -> Result<()> {
    let record = Kept {
        schema: records::SCHEMA,
        instance: instance(wanted.facts),
        environment: wanted.selection.environment.clone(),
        source: wanted.source.root(),
        credential: wanted.selection.credential.clone(),
        recipe: recipe.fingerprint(),
        variables: ingredients(wanted, recipe),
        generation: generation.clone(),
    };
    let why = "this release can be started, and returned to, without git";
    let path = layout.kept().join(name(&generation.release));
    steps.file("kept", why, path, text(&record)?, 0o600).after(&["gate"]);
    Ok(())
}

/// What an instance decided, where that record is lost: what passed on it says which commit it serves.
pub enum Lost<'a> {
    Kept(&'a Kept),
    Commit(&'a Commit),
}

pub fn lost_decision<'a>(facts: &'a Facts, service: &Service) -> Option<Lost<'a>> {
    facts.instance.as_ref()?;
    let Some(good) = good_of(facts, service) else {
        let current = facts.unrecorded.get(service)?.as_ref();
        return current.map(Lost::Commit);
    };
    Some(match of(facts, service, &good.generation) {
        Some(kept) => Lost::Kept(kept),
        None => Lost::Commit(&good.generation.commit),
    })
}

/// Whether a policy without a repository is that of a machine that ran nothing yet, of this image or of another
/// instance; otherwise what ran here, of which the records are gone.
pub fn ran_here(facts: &Facts) -> Vec<&Service> {
    let of_this_instance = facts.good.iter().filter(|(_, good)| {
        facts.instance.as_ref().is_some_and(|instance| good.instance.as_ref() == Some(&instance.id))
    });
    facts.unrecorded.keys().chain(of_this_instance.map(|(service, _)| service)).collect()
}
