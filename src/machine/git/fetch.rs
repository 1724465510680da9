//! Fetches one commit of a branch, shallow, or finds it in a local repository. Runs in a child process.

use std::path::Path;
use std::sync::Arc;

use git2::{Oid, Repository};

use super::address::Moved;
use super::empty::empty_repository;
use super::inspect::Inspected;
use super::remote::{RemoteBranch, commit_id, session};
use super::request::{FetchRequest, Repository as From};
use super::transport::Session;
use super::{bundle, commits, inspect, lfs, libgit2, local, signature, submodules};
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Entry, Listing, Source};
use crate::secret::without_userinfo;

/// Resolves the commit, fetches it unless it is local, and lists its files.
pub fn fetch(request: &FetchRequest) -> Result<Source> {
    libgit2::set_up()?;
    // The signature first: nothing of a commit is read, and so believed, that a foreigner may have written.
    let (repository, name, commit, inspected, signed_by) = match &request.repository {
        From::Remote { url } => {
            let (repository, session, commit) = remote(request, url)?;
            let name = session.exchange().repository().to_owned();
            let signed_by = signature::verify(&repository, commit, &request.signers)?;
            // A repository that its forge renamed answers git at both addresses, and Git LFS perhaps at the new one alone.
            let mut moved = Moved::from_iter(session.answered().map(|answered| (url.clone(), answered)));
            let inspected = submodules::complete(request, &repository, commit, url, &mut moved)?;
            lfs::fetch(request, &request.scratch, (url, &moved), &inspected.items)?;
            (repository, name, commit, inspected, signed_by)
        }
        From::Local { path } => {
            let (repository, name, commit) = local(request, path)?;
            let signed_by = signature::verify(&repository, commit, &request.signers)?;
            let inspected = inspect::inspect(&repository, commit, &request.limits)?;
            submodules::refuse_incomplete(&inspected, request, path)?;
            (repository, name, commit, inspected, signed_by)
        }
        From::Bundle { path, name } => {
            let (repository, commit) = bundle::read(request, path, name)?;
            let signed_by = signature::verify(&repository, commit, &request.signers)?;
            let inspected = bundle::inspect(&repository, commit, &request.limits, name)?;
            (repository, name.clone(), commit, inspected, signed_by)
        }
    };
    let Inspected { items, gitlinks, .. } = inspected;
    let entries = items.iter().map(|item| Entry { path: item.path.clone(), kind: item.kind }).collect();
    let mut source = Source {
        repository: name,
        branch: request.branch.clone(),
        commit: commit_id(commit)?,
        entries,
        directories: Vec::new(),
        gitlinks,
        evidence: Default::default(),
        unread: Default::default(),
        is_manifest: false,
        signed_by,
        copy: None,
        absent: Default::default(),
        listing: Listing::whole(),
    };
    inspect::read_evidence(&mut source, &repository, &items, &request.evidence, &request.limits)?;
    Ok(source)
}

/// The branch's newest commit, without its objects.
pub fn tip(request: &FetchRequest) -> Result<Commit> {
    libgit2::set_up()?;
    let url = match &request.repository {
        From::Remote { url } => url,
        From::Local { path } => return commit_id(local(request, path)?.2),
        From::Bundle { path, name } => return commit_id(bundle::read(request, path, name)?.1),
    };
    let (session, address) = session(request, url)?;
    let repository = empty_repository(&request.scratch)?;
    let branch = RemoteBranch {
        repository: &repository,
        session: &session,
        address: &address,
        branch: &request.branch,
    };
    branch.advertised().and_then(commit_id).map_err(|error| session.exchange().redacted(error))
}

fn remote(request: &FetchRequest, url: &str) -> Result<(Repository, Arc<dyn Session>, Oid)> {
    let (session, address) = session(request, url)?;
    let fetched = fetch_remote(request, &session, &address);
    let (repository, commit) = fetched.map_err(|error| session.exchange().redacted(error))?;
    Ok((repository, session, commit))
}

fn fetch_remote(
    request: &FetchRequest,
    session: &Arc<dyn Session>,
    address: &str,
) -> Result<(Repository, Oid)> {
    let repository = empty_repository(&request.scratch)?;
    let branch = RemoteBranch { repository: &repository, session, address, branch: &request.branch };
    let commit = match &request.pinned {
        None => branch.newest(1)?,
        Some(pinned) => branch.pinned(pinned)?,
    };
    Ok((repository, commit))
}

fn local(request: &FetchRequest, path: &Path) -> Result<(Repository, String, Oid)> {
    let doing = || format!("opening the repository at {}", without_userinfo(&path.to_string_lossy()));
    let repository = local::open(path)?;
    let branch = request.branch.as_str();
    let tip = [format!("refs/heads/{branch}"), format!("refs/remotes/origin/{branch}")]
        .iter()
        .find_map(|name| repository.refname_to_id(name).ok())
        .ok_or_else(|| Error::new(Code::BranchMissing, doing(), format!("it has no branch {branch}")))?;
    let commit = match &request.pinned {
        None => tip,
        Some(pinned) => commits::on_branch(&repository, tip, pinned, &request.branch)?
            .ok_or_else(|| commits::not_on_branch(&request.branch, pinned, commits::NOT_IN_HISTORY))?,
    };
    Ok((repository, path.display().to_string(), commit))
}
