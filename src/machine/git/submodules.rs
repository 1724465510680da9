//! Fetches the commits of submodules into the repository of the fetch. Runs in the fetch's child process.

use std::sync::Arc;

use git2::{AutotagOption, Direction, FetchOptions, Repository};

use super::inspect::{self, Inspected, Missing, shown};
use super::modules::address_of;
use super::remote::{RemoteBranch, session};
use super::request::FetchRequest;
use super::transport::{Session, with_session};
use crate::error::{Code, Error, Result};
use crate::facts::{Branch, Commit, CommitPrefix};
use crate::secret::ForeignText;

/// Inspects the commit, and fetches submodules until all that it needs is there. `base` is the repository's address. The
/// bytes of all submodules together have the limit of one fetch.
pub(super) fn complete(
    request: &FetchRequest,
    repository: &Repository,
    commit: git2::Oid,
    base: &str,
) -> Result<Inspected> {
    let mut request = request.clone();
    loop {
        let inspected = inspect::inspect(repository, commit, &request.limits)?;
        let Some(missing) = inspected.missing.first() else { return Ok(inspected) };
        fetch(&mut request, repository, base, missing)?;
        if repository.find_commit(missing.commit).is_err() {
            return Err(refused(missing, format!("its commit {} was not sent", missing.commit)));
        }
    }
}

/// The error of a submodule that cannot be fetched.
pub(super) fn refused(missing: &Missing, why: String) -> Error {
    let doing = format!("fetching the submodule {}", shown(&missing.path));
    Error::new(Code::SourceSubmodule, doing, ForeignText::message(&why))
}

fn fetch(request: &mut FetchRequest, repository: &Repository, base: &str, missing: &Missing) -> Result<()> {
    let address = address_of(base, &missing.urls).map_err(|why| refused(missing, why))?;
    let (session, address) = session(request, &address).map_err(|error| of(missing, error))?;
    let fetched = commit(repository, &session, &address, missing);
    request.limits.pack_bytes = session.exchange().left();
    fetched.map_err(|error| of(missing, session.exchange().redacted(error)))
}

fn of(missing: &Missing, error: Error) -> Error {
    error.because(format!("it is the submodule {}", shown(&missing.path)))
}

/// Asks for the commit itself, which most servers allow; else looks for it on the submodule's branch.
fn commit(
    repository: &Repository,
    session: &Arc<dyn Session>,
    address: &str,
    missing: &Missing,
) -> Result<()> {
    let default = with_session(session, || {
        let failed = |error: git2::Error| {
            session.exchange().failure().unwrap_or_else(|| refused(missing, error.message().to_owned()))
        };
        let mut remote = repository.remote_anonymous(address).map_err(failed)?;
        let mut connection = remote.connect_auth(Direction::Fetch, None, None).map_err(failed)?;
        let default = connection.default_branch().ok();
        let mut options = FetchOptions::new();
        options.depth(1).download_tags(AutotagOption::None).update_fetchhead(false);
        let asked = connection.remote().download(&[missing.commit.to_string()], Some(&mut options));
        match (asked, session.exchange().failure()) {
            (_, Some(failure)) => Err(failure),
            (Ok(()), None) => Ok(None),
            (Err(_), None) => Ok(Some(default)),
        }
    })?;
    let Some(default) = default else { return Ok(()) };
    let named = missing.branch.clone().filter(|branch| branch != ".");
    let default = default.and_then(|name| name.as_str().ok()?.strip_prefix("refs/heads/").map(str::to_owned));
    let branch = named.or(default).and_then(|name| Branch::try_from(name.as_str()).ok());
    let not_sent = || refused(missing, format!("the server does not send its commit {}", missing.commit));
    let branch = branch.ok_or_else(not_sent)?;
    let wanted = Commit::try_from(missing.commit.to_string()).map_err(|_| not_sent())?;
    let branch = RemoteBranch { repository, session, address, branch: &branch };
    branch.pinned(&CommitPrefix::from(wanted)).map(drop)
}
