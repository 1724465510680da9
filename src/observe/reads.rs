//! The reads of a run. For a dry run on a laptop, flags name files in place of most of them.
//!
//! `blocking` parses foreign text on another thread, so that a text that takes long to parse does not stop the timers
//! of this one.

use std::collections::BTreeMap;
use std::path::Path;

use super::credential::credential;
use super::flag_file::flag_file;
use super::manifest::{Manifest, Table};
use super::policy::{Flags, Fragment, Policy};
use super::{Decision, Selection, own_manifest};
use crate::error::{Code, Error, Result};
use crate::facts::{
    Commit, CommitPrefix, Facts, Failure, Instance, LONGEST_EVIDENCE, Lifecycle, OwnManifest, Places, Source,
    Unusable, records,
};
use crate::fault::Fault;
use crate::machine::{
    DocumentRequest, FetchRequest, Limits, Observe, Repository, Scratch, SecretPatience, blocking,
};
use crate::plan::environment::{self, EnvCopy, EnvFile, SERVICE};
use crate::plan::layout::{self, Layout};
use crate::plan::{Rendering, Seconds, Setting};
use crate::secret::Sealed;

/// The settings that can cause a fetch to fail, for `Origins::explain`.
const FETCHED_BY: &[&str] = &["service", "environment", "repository", "git_credential", "ref"];
pub const MANIFEST: &str = OwnManifest::NAME;

/// The machine, or the record of one that `--facts` names; with the tags of `--tag`, if there are any.
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

/// The instance, from IMDS; not asked of the record of a machine. A dry run does not need IMDS if flags or the policy already name
/// service and environment.
pub async fn instance(machine: &impl Observe, flags: &Flags, policy: &Policy) -> Result<Option<Instance>> {
    let on_a_laptop = flags.overrides.any().is_some() || !machine.is_root();
    let needs_no_tags = !flags.overrides.tags.is_empty() || policy.needed_tags().is_empty();
    if on_a_laptop && needs_no_tags {
        return Ok(None);
    }
    if flags.dry_run && needs_no_tags {
        // This may be a laptop as well, where IMDS does not answer: so the wait is short.
        return Ok(machine.instance(Seconds(1)).await.ok());
    }
    machine.instance(policy.wait()).await.map(Some)
}

/// The instance's tags. It waits for tags that are not propagated yet, except on an instance that is already pinned.
pub async fn tags(
    machine: &impl Observe,
    policy: &Policy,
    decided: Option<&Decision>,
) -> Result<BTreeMap<String, String>> {
    let needed = if decided.is_some() { Vec::new() } else { policy.needed_tags() };
    machine.tags(&needed, policy.wait()).await
}

/// What Auto Scaling does with the instance. A record that cannot be read counts as none: then the hook is completed
/// again, which Auto Scaling refuses without harm.
pub async fn lifecycle(machine: &impl Observe, instance: &Instance, wait: Seconds) -> Result<Lifecycle> {
    let target = machine.lifecycle_state(wait).await?;
    let completed = machine.text(&layout::lifecycle(&instance.id)).await.ok().flatten();
    Ok(Lifecycle { target, completed: completed.map(|text| text.trim().to_owned()) })
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

/// A fetched commit, and the directory with its git objects.
pub struct Fetched {
    pub source: Source,
    pub scratch: Option<Scratch>,
}

/// Fetches the pinned commit, or else the branch's newest one, and reads the text of the files in `evidence`.
pub async fn source(
    machine: &impl Observe,
    flags: &Flags,
    selection: &Selection,
    facts: &Facts,
    policy: &Policy,
    evidence: Vec<String>,
) -> Result<Fetched> {
    source_within(machine, (flags, policy), (selection, facts), evidence, policy.patience()).await
}

/// The same with a time limit of its own.
pub(super) async fn source_within(
    machine: &impl Observe,
    (flags, policy): (&Flags, &Policy),
    (selection, facts): (&Selection, &Facts),
    evidence: Vec<String>,
    patience: Seconds,
) -> Result<Fetched> {
    let request = FetchRequest { evidence, ..request(machine, flags, selection, facts, policy).await? };
    fetched(machine, request, selection, patience).await
}

/// Carries the request out.
pub(super) async fn fetched(
    machine: &impl Observe,
    request: FetchRequest,
    selection: &Selection,
    patience: Seconds,
) -> Result<Fetched> {
    let pinned = request.pinned.clone();
    let fetched = machine.fetch(request, patience).await;
    let (source, scratch) = fetched.map_err(|error| selection.origins.explain(error, FETCHED_BY))?;
    if pinned.is_some_and(|pinned| !pinned.fits(&source.commit)) {
        return Err(Error::new(
            Code::Bug,
            "fetching the pinned commit",
            "the git server sent another commit",
        ));
    }
    Ok(Fetched { source, scratch: Some(scratch) })
}

/// The id of the branch's newest commit, without fetching it.
pub async fn tip(
    machine: &impl Observe,
    flags: &Flags,
    selection: &Selection,
    facts: &Facts,
    policy: &Policy,
) -> Result<Commit> {
    tip_within(machine, (flags, policy), (selection, facts), policy.patience()).await
}

/// The same with a time limit of its own.
pub async fn tip_within(
    machine: &impl Observe,
    (flags, policy): (&Flags, &Policy),
    (selection, facts): (&Selection, &Facts),
    patience: Seconds,
) -> Result<Commit> {
    let request = request(machine, flags, selection, facts, policy).await?;
    let asked = machine.tip(FetchRequest { pinned: None, ..request }, patience).await;
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
    let from = repository(&selection.repository, flags.dry_run)?;
    let request = request_from(from, selection, selection.pinned.clone(), policy, Vec::new());
    Ok(FetchRequest { credential, ..request })
}

/// A request without a credential.
pub(super) fn request_from(
    repository: Repository,
    selection: &Selection,
    pinned: Option<CommitPrefix>,
    policy: &Policy,
    evidence: Vec<String>,
) -> FetchRequest {
    FetchRequest {
        repository,
        branch: selection.branch.clone(),
        pinned,
        credential: None,
        host_keys: policy.host_keys(),
        signers: policy.signers(),
        submodules: policy.submodules(),
        scratch: Default::default(),
        network: selection.network.clone(),
        timeouts: Default::default(),
        limits: Limits { evidence_bytes: LONGEST_EVIDENCE, ..Limits::default() },
        evidence,
    }
}

/// Whether a commit may be read from another origin after this error.
pub(super) fn leads_to_next_origin(error: &Error) -> bool {
    Fault::of(error).is_some_and(Fault::leads_to_next_origin)
}

/// The text at an https address, for a question of the planner. `most` is its limit in bytes.
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

/// A URL, or for a dry run also a directory of this machine.
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

pub fn region(facts: &Facts) -> Option<&str> {
    facts.instance.as_ref().map(|instance| instance.region.as_str())
}

/// How long AWS is asked from a laptop.
const OFF_EC2: Seconds = Seconds(5);

/// Before the first healthy deployment on an instance, "access denied" may mean that IAM has not propagated a new
/// policy yet: then the read waits. A dry run does not wait.
pub fn patience(selection: &Selection, facts: &Facts, flags: &Flags, policy: &Policy) -> SecretPatience {
    let instance = facts.instance.as_ref().map(|instance| &instance.id);
    let good = facts.good.get(&selection.service);
    let was_healthy = good.is_some_and(|good| good.instance.as_ref() == instance);
    let waits_for_permission = instance.is_some() && !was_healthy && !flags.dry_run;
    // Credentials arrive by themselves on an instance only.
    let time = if instance.is_some() { policy.wait() } else { policy.wait().min(OFF_EC2) };
    SecretPatience { time, waits_for_permission }
}

/// The environment files of the last healthy deployment; `None` if they are gone (a reboot removes them). The text is
/// not parsed for its keys: a parser of secrets is one more place that could leak them.
pub async fn good_environment(machine: &impl Observe, layout: &Layout) -> Result<Option<Rendering>> {
    if !machine.is_root() {
        return Ok(None);
    }
    let sealed = |text| Sealed::new(vec!["those of the last healthy deployment".to_owned()], text);
    let path = |file: &EnvFile| layout.env_file(EnvCopy::Good, file);
    let Some(service) = machine.text(&path(&SERVICE)).await?.map(sealed) else { return Ok(None) };
    let mut others = Vec::new();
    for file in environment::all().filter(|file| *file != SERVICE) {
        others.extend(machine.text(&path(&file)).await?.map(|text| (file, sealed(text))));
    }
    Ok(Some(Rendering::new(service, others)))
}

/// The operator's manifest for this service, else the repository's, else all defaults; and its origin.
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
    // The pinned text, also if the file has another one by now.
    if let Some(text) = source.text(OwnManifest::NAME).filter(|_| source.is_manifest) {
        let origin = "the operator's, in place of a repository";
        return Ok((source.repository.clone(), Some(text.to_owned()), origin));
    }
    let own = own_manifest::of_the_operator(machine, flags, &selection.service).await?;
    if let Some((OwnManifest { path, text }, origin)) = own {
        return Ok((path, Some(text), origin));
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
            .remedy("make it a regular text file of at most 256 KiB")
    })
}

/// The record that pins this instance; `None` before its first run.
pub async fn decided(machine: &impl Observe, path: &Path) -> Result<Option<Decision>> {
    let doing = format!("reading {}", path.display());
    let unreadable = |error: Error| match error.code() {
        Code::Io => Error::new(Code::RecordUnreadable, doing.clone(), error.cause()),
        _ => error,
    };
    let Some(text) = machine.text(path).await.map_err(unreadable)? else { return Ok(None) };
    blocking(move || records::parse(text.as_bytes()).map(Some).map_err(|why| unusable(doing, &why))).await
}

/// The error of an existing record that cannot be used.
pub fn unusable(doing: String, why: &Unusable) -> Error {
    let code = match why {
        Unusable::Unreadable(_) => Code::RecordUnreadable,
        Unusable::Newer(_) => Code::RecordNewer,
    };
    Error::new(code, doing, why.to_string())
}

/// The deployments that failed in this boot. An unreadable record counts as empty: then a run starts them again.
pub async fn failures(machine: &impl Observe, layout: &Layout) -> Vec<Failure> {
    let text = machine.text(&layout.failed()).await.ok().flatten();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
