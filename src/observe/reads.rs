//! The reads themselves, each with its stand-in for a laptop.

use std::path::Path;

use super::manifest::Manifest;
use super::policy::{Flags, Policy};
use super::secrets::{self, Variables};
use super::{Decision, Selection};
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Source};
use crate::machine::{Credential, FetchRequest, Observe, Repository, Scratch};
use crate::secret::Secret;

pub const MANIFEST: &str = "bootagent.toml";

/// The machine, the instance and its tags; on a laptop as far as flags or a recording say.
pub async fn facts(machine: &impl Observe, flags: &Flags, policy: &Policy) -> Result<Facts> {
    let mut facts = match &flags.stand_ins.facts {
        Some(path) => recorded(machine, path).await?,
        None => machine.facts().await?,
    };
    if !flags.stand_ins.tags.is_empty() {
        facts.tags = Some(flags.stand_ins.tags.clone());
    }
    let stands_in = flags.stand_ins.any().is_some() || !machine.is_root();
    if flags.stand_ins.facts.is_none() && facts.tags.is_none() {
        let needed = policy.needed_tags();
        if !stands_in || !needed.is_empty() {
            facts.instance = Some(machine.instance(policy.wait()).await?);
            facts.tags = Some(machine.tags(&needed, policy.wait()).await?);
        }
    }
    Ok(facts)
}

async fn recorded(machine: &impl Observe, path: &Path) -> Result<Facts> {
    let text = given(machine, path, "--facts").await?;
    serde_json::from_str(&text).map_err(|error| {
        Error::new(Code::Usage, format!("reading --facts {}", path.display()), error)
            .remedy("record it with: bootagent facts > facts.json")
    })
}

/// The text of a file that a flag names.
pub(super) async fn given(machine: &impl Observe, path: &Path, flag: &str) -> Result<String> {
    machine.text(path).await?.ok_or_else(|| {
        Error::new(Code::Usage, format!("reading {flag} {}", path.display()), "there is no such file")
            .remedy("give the path of a file")
    })
}

/// A commit, known well enough to plan, and its objects if they were fetched.
pub struct Fetched {
    pub source: Source,
    pub scratch: Option<Scratch>,
}

/// Asks for one branch's newest commit, or for the pinned one, and for the text of `evidence`.
pub async fn source(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    policy: &Policy,
    evidence: Vec<String>,
) -> Result<Fetched> {
    let credential = match &selection.credential {
        Some(name) => Some(credential(machine.secret(name, region(facts), policy.wait()).await?)?),
        None => None,
    };
    let request = FetchRequest {
        repository: repository(&selection.repository),
        branch: selection.branch.clone(),
        pinned: selection.pinned.clone(),
        credential,
        scratch: Default::default(),
        network: Default::default(),
        limits: Default::default(),
        evidence,
    };
    let (source, scratch) = machine.fetch(request).await?;
    Ok(Fetched { source, scratch: Some(scratch) })
}

/// A pattern with a scheme is fetched; anything else is a directory on this machine, opened.
fn repository(at: &str) -> Repository {
    match at.contains("://") {
        true => Repository::Remote { url: at.to_owned() },
        false => Repository::Local { path: at.into() },
    }
}

fn region(facts: &Facts) -> Option<&str> {
    facts.instance.as_ref().map(|instance| instance.region.as_str())
}

/// A token alone, or `{"username": ..., "password": ...}`.
fn credential(secret: Secret) -> Result<Credential> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        username: Option<String>,
        #[serde(alias = "token")]
        password: String,
    }
    let text = secret.expose().trim();
    let invalid = || {
        Error::new(
            Code::SecretInvalid,
            "reading the git credential",
            "it is neither a token nor JSON with username and password",
        )
    };
    let pair = match text.starts_with('{') {
        // The JSON error may repeat a value: it is not passed on.
        true => serde_json::from_str(text).map_err(|_| invalid())?,
        false => Pair { username: None, password: text.to_owned() },
    };
    if pair.password.is_empty() || pair.password.contains(char::is_whitespace) {
        return Err(invalid());
    }
    // GitHub, and others after it, take a token as the password of this user.
    let username = pair.username.unwrap_or_else(|| "x-access-token".to_owned());
    Ok(Credential { username, password: Secret::new(pair.password) })
}

/// The service's secret, parsed; `None` when the manifest says that there is none.
pub async fn secret_text(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    flags: &Flags,
    policy: &Policy,
) -> Result<Secret> {
    match &flags.stand_ins.env_file {
        Some(path) => Ok(Secret::new(given(machine, path, "--env-file").await?)),
        None => machine.secret(&selection.secret, region(facts), policy.wait()).await,
    }
}

pub fn variables(selection: &Selection, manifest: &Manifest, text: &Secret) -> Result<Variables> {
    secrets::parse(&selection.secret, text.expose(), &manifest.env.allow)
}

/// The operator's manifest for this service, else the repository's, else all defaults.
pub async fn manifest(
    machine: &impl Observe,
    selection: &Selection,
    flags: &Flags,
    source: &Source,
) -> Result<Manifest> {
    let environment = Some(&selection.environment);
    if let Some(path) = &flags.stand_ins.manifest {
        let text = given(machine, path, "--manifest").await?;
        return Manifest::parse(&path.display().to_string(), &text, environment);
    }
    let path = format!("/etc/bootagent/services/{}.toml", selection.service);
    // A policy that stands in stands in for all of this machine's.
    let ours = flags.stand_ins.policy.is_none();
    if let Some(text) = if ours { machine.text(Path::new(&path)).await? } else { None } {
        return Manifest::parse(&path, &text, environment);
    }
    match source.text(MANIFEST) {
        Some(text) => Manifest::parse(MANIFEST, text, environment),
        None if source.has(MANIFEST) => Err(Error::new(
            Code::ManifestInvalid,
            "reading bootagent.toml",
            "it is too long, or a symbolic link",
        )),
        None => Ok(Manifest::default()),
    }
}

/// What this instance decided before, unless a new choice is asked for.
pub async fn decided(machine: &impl Observe, path: &Path, flags: &Flags) -> Result<Option<Decision>> {
    if flags.update || !machine.is_root() {
        return Ok(None);
    }
    let Some(text) = machine.text(path).await? else { return Ok(None) };
    let decision = serde_json::from_str(&text).map_err(|error| {
        Error::new(Code::Io, format!("reading {}", path.display()), error)
            .remedy("remove the file: the next run decides anew")
    })?;
    Ok(Some(decision))
}
