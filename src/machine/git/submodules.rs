//! Fetches the commits of submodules into the repository of the fetch. Runs in the fetch's child process.

use std::path::Path;
use std::sync::Arc;

use git2::{AutotagOption, Direction, FetchOptions, Repository};

use super::address::Moved;
use super::inspect::{self, Inspected, Missing, shown};
use super::lfs;
use super::modules::address_of;
use super::pointer::Pointer;
use super::remote::{RemoteBranch, session};
use super::request::FetchRequest;
use super::transport::{Session, with_session};
use crate::error::{Code, Error, Result};
use crate::facts::{Branch, Commit, CommitPrefix};
use crate::secret::ForeignText;

/// Inspects the commit, and fetches submodules until all that it needs is there: those of a commit, then those within them.
/// `base` is the repository's address. The bytes of all submodules together have the limit of one fetch.
pub(super) fn complete(
    request: &FetchRequest,
    repository: &Repository,
    commit: git2::Oid,
    base: &str,
    moved: &mut Moved,
) -> Result<Inspected> {
    let mut request = request.clone();
    loop {
        let inspected = inspect::inspect(repository, commit, &request.limits)?;
        let Some(first) = inspected.missing.first() else { return Ok(inspected) };
        if !request.submodules {
            return Err(forbidden(first));
        }
        for missing in &inspected.missing {
            // Two submodules may have one commit.
            if repository.find_commit(missing.commit).is_ok() {
                continue;
            }
            fetch(&mut request, repository, base, missing, moved)?;
            if repository.find_commit(missing.commit).is_err() {
                return Err(refused(missing, format!("its commit {} was not sent", missing.commit)));
            }
        }
    }
}

fn forbidden(missing: &Missing) -> Error {
    refused(missing, "the policy has git.submodules = false".to_owned()).remedy(
        "add the submodule's files to the repository (git subtree), or let the owner of the AMI set git.submodules",
    )
}

/// Fails for what a local repository lacks: nothing is fetched for it, and a run could not check it out.
pub(super) fn refuse_incomplete(inspected: &Inspected, request: &FetchRequest, path: &Path) -> Result<()> {
    let remedy = "name the repository by its address on its server, from which both are fetched";
    if let Some(missing) = inspected.missing.first() {
        if !request.submodules {
            return Err(forbidden(missing));
        }
        let why = "its commit is not in the local repository, and nothing is fetched for that".to_owned();
        return Err(refused(missing, why).remedy(remedy));
    }
    let is_absent = |pointer: &Pointer| !lfs::path(path, pointer).exists();
    match inspected.items.iter().find(|item| item.lfs.as_ref().is_some_and(is_absent)) {
        Some(item) => {
            let why = "files of Git LFS are not taken from a local repository";
            Err(lfs::refused(&item.path, why).remedy(remedy))
        }
        None => Ok(()),
    }
}

/// The error of a submodule that cannot be fetched.
pub(super) fn refused(missing: &Missing, why: String) -> Error {
    let doing = format!("fetching the submodule {}", shown(&missing.path));
    Error::new(Code::SourceSubmodule, doing, ForeignText::message(&why))
}

fn fetch(
    request: &mut FetchRequest,
    repository: &Repository,
    base: &str,
    missing: &Missing,
    moved: &mut Moved,
) -> Result<()> {
    let address = address_of(base, &missing.urls).map_err(|why| refused(missing, why))?;
    let (session, at) = session(request, &address).map_err(|error| of(missing, error))?;
    let fetched = commit(repository, &session, &at, missing);
    moved.extend(session.answered().map(|answered| (address, answered)));
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
