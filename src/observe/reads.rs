//! The reads themselves, each with its stand-in for a laptop. What others wrote is parsed beside the async thread.

use std::collections::BTreeMap;
use std::path::Path;

use super::credential::credential;
use super::flag_file::flag_file;
use super::manifest::{Manifest, Table};
use super::policy::{Flags, Fragment, Policy};
use super::secrets::{self, Variables};
use super::{Decision, Selection};
use crate::error::{Code, Error, Result};
use crate::facts::{
    Commit, Facts, Failure, Ingredients, Instance, LONGEST_EVIDENCE, Network, Places, Source, Unusable,
    records,
};
use crate::machine::{
    DocumentRequest, FetchRequest, Limits, Observe, Repository, Scratch, SecretPatience, blocking,
};
use crate::plan::environment::{EnvCopy, EnvFile, FILES, SERVICE};
use crate::plan::layout::Layout;
use crate::plan::{Rendering, Seconds, Setting};
use crate::secret::{Sealed, Secret};

/// The settings that a fetch can fail by.
const FETCHED_BY: &[&str] = &["service", "environment", "repository", "git_credential"];
pub const MANIFEST: &str = "bootagent.toml";

/// The machine, or what stands in for it and its tags.
pub async fn facts(machine: &impl Observe, flags: &Flags, programs: &[&Places]) -> Result<Facts> {
    let mut facts = match &flags.overrides.facts {
        Some(path) => recorded(machine, path).await?,
        None => machine.facts(programs).await?,
    };
    if !flags.overrides.tags.is_empty() {
        facts.tags = Some(flags.overrides.tags.clone());
    }
    Ok(facts)
}

/// The instance, unless this is a laptop on which flags already say everything that tags could.
pub async fn instance(
    machine: &impl Observe,
    flags: &Flags,
    facts: &Facts,
    policy: &Policy,
) -> Result<Option<Instance>> {
    let on_a_laptop = flags.overrides.any().is_some() || !machine.is_root();
    let said = facts.tags.is_some() || policy.needed_tags().is_empty();
    if flags.overrides.facts.is_some() || (on_a_laptop && said) {
        return Ok(facts.instance.clone());
    }
    if flags.dry_run && said {
        // Perhaps root's own laptop: then IMDS does not answer, and need not.
        return Ok(machine.instance(Seconds(1)).await.ok());
    }
    machine.instance(policy.wait()).await.map(Some)
}

/// Its tags. Those that would decide nothing any more are not waited for.
pub async fn tags(
    machine: &impl Observe,
    policy: &Policy,
    decided: Option<&Decision>,
) -> Result<BTreeMap<String, String>> {
    let needed = if decided.is_some() { Vec::new() } else { policy.needed_tags() };
    machine.tags(&needed, policy.wait()).await
}

async fn recorded(machine: &impl Observe, path: &Path) -> Result<Facts> {
    let text = flag_file(machine, path, "--facts").await?;
    let doing = format!("reading --facts {}", path.display());
    let read = move || {
        serde_json::from_str(&text).map_err(|error| {
            Error::new(Code::Usage, doing, error).remedy("record it with: bootagent facts > facts.json")
        })
    };
    blocking(read).await
}

/// A commit, known well enough to plan, and its objects if they were fetched.
pub struct Fetched {
    pub source: Source,
    pub scratch: Option<Scratch>,
}

/// Asks for one branch's newest commit, or for the pinned one, and for the text of `evidence`.
pub async fn source(
    machine: &impl Observe,
    flags: &Flags,
    selection: &Selection,
    facts: &Facts,
    policy: &Policy,
    evidence: Vec<String>,
) -> Result<Fetched> {
    let request = FetchRequest { evidence, ..request(machine, flags, selection, facts, policy).await? };
    let pinned = request.pinned.clone();
    let fetched = machine.fetch(request, policy.patience()).await;
    let (source, scratch) = fetched.map_err(|error| selection.origins.explain(error, FETCHED_BY))?;
    if pinned.is_some_and(|pinned| !pinned.fits(&source.commit)) {
        return Err(Error::new(Code::Bug, "fetching the pinned commit", "the fetch brought another one"));
    }
    Ok(Fetched { source, scratch: Some(scratch) })
}

/// The branch's newest commit by its name.
pub async fn tip(
    machine: &impl Observe,
    flags: &Flags,
    selection: &Selection,
    facts: &Facts,
    policy: &Policy,
) -> Result<Commit> {
    let request = request(machine, flags, selection, facts, policy).await?;
    let asked = machine.tip(FetchRequest { pinned: None, ..request }, policy.patience()).await;
    asked.map_err(|error| selection.origins.explain(error, FETCHED_BY))
}

async fn request(
    machine: &impl Observe,
    flags: &Flags,
    selection: &Selection,
    facts: &Facts,
    policy: &Policy,
) -> Result<FetchRequest> {
    let credential = match &selection.credential {
        Some(name) => {
            let patience = patience(selection, facts, flags, policy);
            let read = machine.secret(name, region(facts), &selection.network, patience).await;
            let read = match read {
                Ok(text) => blocking(move || credential(text)).await,
                Err(error) => Err(error),
            };
            Some(read.map_err(|error| selection.origins.explain(error, &["git_credential"]))?)
        }
        None => None,
    };
    Ok(FetchRequest {
        repository: repository(&selection.repository, flags.dry_run)?,
        branch: selection.branch.clone(),
        pinned: selection.pinned.clone(),
        credential,
        host_keys: policy.host_keys(),
        scratch: Default::default(),
        network: selection.network.clone(),
        timeouts: Default::default(),
        limits: Limits { evidence_bytes: LONGEST_EVIDENCE, ..Limits::default() },
        evidence: Vec::new(),
    })
}

/// What a server has at an address: the answer to a planner's question.
pub async fn document(
    machine: &impl Observe,
    selection: &Selection,
    policy: &Policy,
    address: &str,
    most: u64,
) -> Result<String> {
    let (network, timeouts) = (selection.network.clone(), Default::default());
    let request = DocumentRequest { address: address.to_owned(), most, network, timeouts };
    machine.document(request, policy.patience()).await
}

/// An address is fetched; a dry run may also name a directory on this machine, which is opened.
fn repository(at: &str, dry_run: bool) -> Result<Repository> {
    match (Fragment::is_address(at), dry_run) {
        (true, _) => Ok(Repository::Remote { url: at.to_owned() }),
        (false, true) => Ok(Repository::Local { path: at.into() }),
        (false, false) => {
            let doing = format!("reading the repository's address {at}");
            Err(Error::new(Code::RepositoryInvalid, doing, "it is not a URL"))
        }
    }
}

fn region(facts: &Facts) -> Option<&str> {
    facts.instance.as_ref().map(|instance| instance.region.as_str())
}

/// Until a deployment has passed on an instance, "denied" may be a policy that is only just attached. A dry
/// run does not wait for that.
fn patience(selection: &Selection, facts: &Facts, flags: &Flags, policy: &Policy) -> SecretPatience {
    let instance = facts.instance.as_ref().map(|instance| &instance.id);
    let good = facts.good.get(&selection.service);
    let has_served = good.is_some_and(|good| good.instance.as_ref() == instance);
    let waits_for_permission = instance.is_some() && !has_served && !flags.dry_run;
    SecretPatience { time: policy.wait(), waits_for_permission }
}

/// The service's secret, parsed; `None` when the manifest says that there is none.
pub async fn secret_text(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    flags: &Flags,
    policy: &Policy,
) -> Result<Secret> {
    match &flags.overrides.env_file {
        Some(path) => Ok(Secret::new(flag_file(machine, path, "--env-file").await?)),
        None => {
            let patience = patience(selection, facts, flags, policy);
            let read = machine.secret(&selection.secret, region(facts), &selection.network, patience);
            let said = ["service", "environment", "secret"];
            read.await.map_err(|error| selection.origins.explain(error, &said))
        }
    }
}

pub async fn variables(selection: &Selection, manifest: &Manifest, text: &Secret) -> Result<Variables> {
    let (name, allow, text) = (selection.secret.clone(), manifest.env.allow.clone(), text.clone());
    blocking(move || secrets::parse(&name, text.expose(), &allow)).await
}

/// The same for a release that passed before, by its own record.
pub async fn variables_of(
    machine: &impl Observe,
    ingredients: &Ingredients,
    instance: &Instance,
    network: &Network,
    wait: Seconds,
) -> Result<Option<Variables>> {
    let Some(name) = ingredients.secret.clone() else { return Ok(None) };
    let patience = SecretPatience { time: wait, waits_for_permission: false };
    let text = machine.secret(&name, Some(&instance.region), network, patience).await?;
    let allow = ingredients.allow.clone();
    blocking(move || secrets::parse(&name, text.expose(), &allow)).await.map(Some)
}

/// The environment with which the last healthy deployment passed, while this boot still has it. Its keys
/// are not read back: a file of root's is trusted, but a parser of secrets is one more place to leak.
pub async fn good_environment(machine: &impl Observe, layout: &Layout) -> Result<Option<Rendering>> {
    if !machine.is_root() {
        return Ok(None);
    }
    let sealed = |text| Sealed::new(vec!["as they passed before".to_owned()], text);
    let path = |file: &EnvFile| layout.env_file(EnvCopy::Good, file);
    let Some(service) = machine.text(&path(&SERVICE)).await?.map(sealed) else { return Ok(None) };
    let mut others = Vec::new();
    for file in FILES.into_iter().filter(|file| *file != SERVICE) {
        others.extend(machine.text(&path(&file)).await?.map(|text| (file, sealed(text))));
    }
    Ok(Some(Rendering::new(service, others)))
}

/// The operator's manifest for this service, else the repository's, else all defaults; and which.
pub async fn manifest(
    machine: &impl Observe,
    selection: &Selection,
    flags: &Flags,
    source: &Source,
    tables: Vec<&'static Table>,
) -> Result<(Manifest, Setting)> {
    let (path, text, origin) = manifest_text(machine, selection, flags, source).await?;
    let manifest = match text {
        Some(text) => {
            let (path, environment) = (path.clone(), selection.environment.clone());
            blocking(move || Manifest::parse(&path, &text, Some(&environment), &tables)).await?
        }
        None => Manifest::default(),
    };
    Ok((manifest, Setting { name: "manifest".to_owned(), value: path, origin: origin.to_owned() }))
}

async fn manifest_text(
    machine: &impl Observe,
    selection: &Selection,
    flags: &Flags,
    source: &Source,
) -> Result<(String, Option<String>, &'static str)> {
    if let Some(path) = &flags.overrides.manifest {
        let text = flag_file(machine, path, "--manifest").await?;
        return Ok((path.display().to_string(), Some(text), "flag"));
    }
    // A policy that stands in stands in for all of this machine's.
    if flags.overrides.policy.is_none() {
        let path = format!("/etc/bootagent/services/{}.toml", selection.service);
        if let Some(text) = machine.policy_text(Path::new(&path)).await? {
            return Ok((path, Some(text), "the operator's, instead of the repository's"));
        }
    }
    match repository_manifest(source)? {
        Some(text) => Ok((MANIFEST.to_owned(), Some(text.to_owned()), "repository")),
        None => Ok(("none".to_owned(), None, "default: conventions only")),
    }
}

/// The text of the repository's own manifest, if it has one.
pub fn repository_manifest(source: &Source) -> Result<Option<&str>> {
    source.read(MANIFEST).map_err(|why| {
        Error::new(Code::ManifestInvalid, "reading bootagent.toml", why)
            .remedy("make it a plain, short text file")
    })
}

/// What this instance decided before.
pub async fn decided(machine: &impl Observe, path: &Path) -> Result<Option<Decision>> {
    let doing = format!("reading {}", path.display());
    let unreadable = |error: Error| match error.code() {
        Code::Io => Error::new(Code::RecordUnreadable, doing.clone(), error.cause()),
        _ => error,
    };
    let Some(text) = machine.text(path).await.map_err(unreadable)? else { return Ok(None) };
    blocking(move || records::parse(text.as_bytes()).map(Some).map_err(|why| unusable(doing, &why))).await
}

/// The error of a record that is there and cannot be used.
pub fn unusable(doing: String, why: &Unusable) -> Error {
    let code = match why {
        Unusable::Unreadable(_) => Code::RecordUnreadable,
        Unusable::Newer(_) => Code::RecordNewer,
    };
    Error::new(code, doing, why.to_string())
}

/// The deployments that failed in this boot. A record that cannot be read does not keep a run from trying again.
pub async fn failures(machine: &impl Observe, layout: &Layout) -> Vec<Failure> {
    let text = machine.text(&layout.failed()).await.ok().flatten();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
