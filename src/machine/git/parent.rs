//! The parent's side of a fetch. A child does the work, in a transient unit or, on a laptop, as the caller.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::bundle::{PackRequest, Packed};
use super::local::reader;
use super::request::{FetchRequest, Repository};
use crate::error::{Code, Coded, Error, Result};
use crate::facts::{Branch, Commit, Source};
use crate::fault::{Fault, Phase};
use crate::machine::Scratch;
use crate::machine::aws::clock;
use crate::machine::disk::{files, owned};
use crate::machine::jail::ask::{ask, ask_as, ask_in};
use crate::machine::jail::child::Role;
use crate::machine::jail::request::read_reply;
use crate::machine::jail::unit::{TransientUnit, User, own_program};
use crate::machine::process::units;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::plan::{Seconds, layout};
use crate::secret::without_userinfo;

/// A crafted pack can unpack into far more than its size before bootagent's own limits apply.
pub const MEMORY: &str = "MemoryMax=1G";

/// Fetches in a transient unit of this name with a dynamic user; without a name, on a laptop, as the caller. A child
/// that runs as its owner reads a local repository.
pub async fn fetch(
    request: FetchRequest,
    unit: Option<&str>,
    patience: Seconds,
) -> Result<(Source, Scratch)> {
    if let Repository::Local { path } = &request.repository {
        let repository = path.clone();
        let source = ask_as(reader(path), &own_program()?, Role::Fetch, &request, deadline()).await;
        let source = source.map_err(|error| stalled(error, &request))?;
        return Ok((source, Scratch { repository, _guard: Box::new(()) }));
    }
    ask_with_retries(Role::Fetch, &request, unit, patience).await
}

/// Reads which commit is the branch's newest, in the same way.
pub async fn tip(request: FetchRequest, unit: Option<&str>, patience: Seconds) -> Result<Commit> {
    ask_with_retries(Role::Tip, &request, unit, patience).await.map(|(commit, _)| commit)
}

async fn ask_with_retries<T: DeserializeOwned + Send + 'static>(
    role: Role,
    request: &FetchRequest,
    unit: Option<&str>,
    patience: Seconds,
) -> Result<(T, Scratch)> {
    let patience = RetryLimit::lasting(patience.min(Phase::Fetch.seconds()).duration());
    match unit {
        Some(unit) => {
            let attempt =
                async || clock::checked(in_unit(role, request, unit, attempt_limit(patience)).await).await;
            with_retries(patience, attempt).await
        }
        None => {
            let attempt =
                async || clock::checked(in_child(role, request, attempt_limit(patience)).await).await;
            with_retries(patience, attempt).await
        }
    }
}

/// The time limit of one fetch. It ends a little before the run's budget, so that the error names the server and not
/// the budget.
fn attempt_limit(patience: RetryLimit) -> Duration {
    const MARGIN: Duration = Duration::from_secs(1);
    const LEAST: Duration = Duration::from_millis(500);
    deadline().min(patience.left().saturating_sub(MARGIN).max(LEAST))
}

fn deadline() -> Duration {
    Phase::Conversation.seconds().duration()
}

/// The directory below which the fetched objects are put.
pub fn scratch(root: bool) -> PathBuf {
    if root { layout::PRIVATE.into() } else { std::env::temp_dir() }
}

async fn in_child<T: DeserializeOwned + Send + 'static>(
    role: Role,
    request: &FetchRequest,
    limit: Duration,
) -> Result<(T, Scratch)> {
    let scratch = tempfile::tempdir().doing(|| "making a scratch directory".to_owned())?;
    let request = FetchRequest { scratch: scratch.path().join("repository"), ..request.clone() };
    std::fs::create_dir(&request.scratch).doing(|| "making a scratch directory".to_owned())?;
    let answer = ask(&own_program()?, role, &request, limit).await;
    let answer = answer.map_err(|error| stalled(error, &request))?;
    Ok((answer, Scratch { repository: request.scratch, _guard: Box::new(scratch) }))
}

async fn in_unit<T: DeserializeOwned + Send + 'static>(
    role: Role,
    request: &FetchRequest,
    name: &str,
    limit: Duration,
) -> Result<(T, Scratch)> {
    let unit = format!("{name}.service");
    units::clear(&unit).await?;
    let [directory, link] = layout::scratch(name);
    let fetched = Fetched { link, directory };
    fetched.remove();
    let request = FetchRequest { scratch: fetched.link.clone(), ..request.clone() };
    let (request, bound) = bound(request)?;
    let mut transient = TransientUnit::new(&unit, User::Dynamic, limit)
        .property(format!("CacheDirectory={name}"))
        // The build user reads it during the checkout.
        .property("CacheDirectoryMode=0755")
        .property(MEMORY);
    for property in bound {
        transient = transient.property(property);
    }
    let output = ask_in(transient, role, &request).await.map_err(|error| stalled(error, &request))?;
    let answer = read_reply(output).await?;
    Ok((answer, Scratch { repository: fetched.directory.clone(), _guard: Box::new(fetched) }))
}

/// Where a child sees a bundle, which it cannot reach at its own place.
const BUNDLE: &str = "/mnt/bundle";

/// A request for a bundle as its child gets it, and the unit's properties for that. The child needs no network.
fn bound(request: FetchRequest) -> Result<(FetchRequest, Vec<String>)> {
    let Repository::Bundle { path, name } = &request.repository else { return Ok((request, Vec::new())) };
    let doing = format!("reading the bundle {name}");
    let refused = |cause: String| Error::new(Code::SourceUnsafe, doing.clone(), cause);
    let real = owned::resolved(path).map_err(refused)?;
    let real = real.ok_or_else(|| refused("there is no such file".to_owned()))?;
    let properties = vec![
        "PrivateNetwork=yes".to_owned(),
        "TemporaryFileSystem=/mnt:ro".to_owned(),
        format!("BindReadOnlyPaths={}:{BUNDLE}", real.display()),
    ];
    let repository = Repository::Bundle { path: BUNDLE.into(), name: name.clone() };
    Ok((FetchRequest { repository, ..request }, properties))
}

/// Writes the bundle of a fetched commit into a directory, in a transient unit of this name. The commit's file there is
/// `Packed::Written`.
pub async fn pack(
    unit: &str,
    repository: &Path,
    (commit, branch): (&Commit, &Branch),
    directory: &Path,
) -> Result<Packed> {
    const FROM: &str = "/mnt/source";
    const TO: &str = "/mnt/bundle";
    units::clear(unit).await?;
    let request = PackRequest {
        repository: FROM.into(),
        commit: commit.clone(),
        branch: branch.clone(),
        file: Path::new(TO).join(PACKED),
        limits: Default::default(),
    };
    let transient = TransientUnit::new(unit, User::Dynamic, deadline())
        .property("PrivateNetwork=yes")
        .property("TemporaryFileSystem=/mnt:ro")
        .property(format!("BindReadOnlyPaths={}:{FROM}", repository.display()))
        .property(format!("BindPaths={}:{TO}", directory.display()))
        .writable(Path::new(TO))
        .property(MEMORY);
    read_reply(ask_in(transient, Role::Pack, &request).await?).await
}

/// The name of the file that `pack` writes.
pub const PACKED: &str = "commit.bundle";

/// A child that exceeded its deadline means that the server stalled.
fn stalled(error: Error, request: &FetchRequest) -> Error {
    match error.code() {
        Code::Deadline => Fault::GitStalled.error(format!("fetching {}", address(request)), error.cause()),
        _ => error,
    }
}

fn address(request: &FetchRequest) -> String {
    match &request.repository {
        Repository::Remote { url } => without_userinfo(url),
        Repository::Local { path } => path.display().to_string(),
        Repository::Bundle { name, .. } => name.clone(),
    }
}

/// The fetched objects, removed when this is dropped.
struct Fetched {
    link: PathBuf,
    directory: PathBuf,
}

impl Fetched {
    /// Ignores errors: the next fetch needs an empty directory, and reports what is in the way.
    fn remove(&self) {
        let _ = files::remove_file(&self.link);
        let _ = files::remove_tree(&self.directory);
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_that_exceeds_its_deadline_names_its_server_and_is_retried() {
        let request = FetchRequest {
            repository: Repository::Remote { url: "https://u:hunter2@git.example/a.git".into() },
            branch: "main".to_owned().try_into().unwrap(),
            pinned: None,
            credential: None,
            host_keys: Vec::new(),
            signers: Vec::new(),
            submodules: true,
            scratch: PathBuf::new(),
            network: Default::default(),
            timeouts: Default::default(),
            limits: Default::default(),
            evidence: Vec::new(),
        };
        let late = stalled(Error::new(Code::Deadline, "waiting", "not done after 9.0 s"), &request);
        assert_eq!(Fault::of(&late), Some(Fault::GitStalled));
        assert_eq!(late.report().doing, "fetching https://git.example/a.git");
        assert_eq!(late.report().causes, ["not done after 9.0 s"]);
        let other = stalled(Error::new(Code::BranchMissing, "looking", "none"), &request);
        assert_eq!(other.code(), Code::BranchMissing);
    }
}
