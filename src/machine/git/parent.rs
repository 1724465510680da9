//! The parent's side of a fetch. A child does the work, in a transient unit or, on a laptop, as the caller.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::local::reader;
use super::request::{FetchRequest, Repository};
use crate::error::{Code, Coded, Error, Result};
use crate::facts::{Commit, Source};
use crate::fault::{Fault, Phase};
use crate::machine::Scratch;
use crate::machine::aws::clock;
use crate::machine::disk::files;
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
    let transient = TransientUnit::new(&unit, User::Dynamic, limit)
        .property(format!("CacheDirectory={name}"))
        // The build user reads it during the checkout.
        .property("CacheDirectoryMode=0755")
        .property(MEMORY);
    let output = ask_in(transient, role, &request).await.map_err(|error| stalled(error, &request))?;
    let answer = read_reply(output).await?;
    Ok((answer, Scratch { repository: fetched.directory.clone(), _guard: Box::new(fetched) }))
}

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
