//! Fetches one commit of a branch, shallow, or finds it in a local repository. Runs in a child process.

use std::path::Path;
use std::sync::Arc;

use git2::{AutotagOption, Direction, ErrorClass, ErrorCode, FetchOptions, Oid, Remote, Repository};

use super::address::Address;
use super::inspect::Inspected;
use super::request::{FetchRequest, Repository as From};
use super::transport::{Session, with_session};
use super::{commits, http, inspect, lfs, libgit2, local, signature, ssh, submodules, unsupported};
use crate::error::{Code, Error, Result, is_disk_full};
use crate::facts::{Branch, Commit, CommitPrefix, Entry, Listing, Source};
use crate::fault::Fault;
use crate::secret::{ForeignText, Message, without_userinfo};

/// How many commits back a pinned one is searched for. Each depth is a fetch of its own; most are near the newest.
const DEPTHS: [i32; 2] = [50, 1000];

/// Resolves the commit, fetches it unless it is local, and lists its files.
pub fn fetch(request: &FetchRequest) -> Result<Source> {
    libgit2::set_up()?;
    // The signature first: nothing of a commit is read, and so believed, that a foreigner may have written.
    let (repository, name, commit, inspected, signed_by) = match &request.repository {
        From::Remote { url } => {
            let (repository, name, commit) = remote(request, url)?;
            let signed_by = signature::verify(&repository, commit, &request.signers)?;
            let inspected = submodules::complete(request, &repository, commit, url)?;
            lfs::fetch(request, &request.scratch, url, &inspected.items)?;
            (repository, name, commit, inspected, signed_by)
        }
        From::Local { path } => {
            // Its submodules are repositories of their own: what is in them is not looked at.
            let (repository, name, commit) = local(request, path)?;
            let signed_by = signature::verify(&repository, commit, &request.signers)?;
            let inspected = inspect::inspect(&repository, commit, &request.limits)?;
            (repository, name, commit, inspected, signed_by)
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

fn remote(request: &FetchRequest, url: &str) -> Result<(Repository, String, Oid)> {
    let (session, address) = session(request, url)?;
    fetch_remote(request, &session, &address).map_err(|error| session.exchange().redacted(error))
}

fn fetch_remote(
    request: &FetchRequest,
    session: &Arc<dyn Session>,
    address: &str,
) -> Result<(Repository, String, Oid)> {
    let repository = empty_repository(&request.scratch)?;
    let branch = RemoteBranch { repository: &repository, session, address, branch: &request.branch };
    let commit = match &request.pinned {
        None => branch.newest(1)?,
        Some(pinned) => branch.pinned(pinned)?,
    };
    Ok((repository, session.exchange().repository().to_owned(), commit))
}

/// The session with the server, and the address by which libgit2 chooses the protocol.
pub(super) fn session(request: &FetchRequest, url: &str) -> Result<(Arc<dyn Session>, String)> {
    if ssh::Address::claims(url) {
        let session = ssh::Session::new(ssh::Address::parse(url)?, request)?;
        return Ok((Arc::new(session), "ssh://server/repository".to_owned()));
    }
    let address = Address::parse(url)?;
    let at = address.as_str().to_owned();
    let session = http::Session::new(
        address,
        request.credential.as_ref(),
        &request.network,
        &request.timeouts,
        request.limits.pack_bytes,
    )?;
    Ok((Arc::new(session), at))
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

/// A bare repository without template and configuration of a user, which could add hooks or rewrite addresses.
fn empty_repository(scratch: &Path) -> Result<Repository> {
    let doing = || format!("preparing {}", scratch.display());
    let mut entries = scratch.read_dir().map_err(|error| Error::new(Code::Io, doing(), error))?;
    if entries.next().is_some() {
        return Err(Error::new(Code::Io, doing(), "it is not empty"));
    }
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true).mkdir(false).mkpath(false);
    Repository::init_opts(scratch, &options)
        .map_err(|error| Error::of_the_disk(doing(), ForeignText::message(error.message())))
}

pub(super) struct RemoteBranch<'a> {
    pub(super) repository: &'a Repository,
    pub(super) session: &'a Arc<dyn Session>,
    pub(super) address: &'a str,
    pub(super) branch: &'a Branch,
}

impl RemoteBranch<'_> {
    fn advertised(&self) -> Result<Oid> {
        with_session(self.session, || {
            let mut remote =
                self.repository.remote_anonymous(self.address).map_err(|error| self.failed(&error))?;
            let mut connection = remote
                .connect_auth(Direction::Fetch, None, None)
                .map_err(|error| self.failed_at_first(&error))?;
            self.advertised_commit(connection.remote())
        })
    }

    fn newest(&self, depth: i32) -> Result<Oid> {
        self.fetch_branch(None, depth)
    }

    /// Fetches as little history as contains the commit. The beginning of an id means the one commit of that history
    /// that begins so, although an older one may begin so, too.
    pub(super) fn pinned(&self, pinned: &CommitPrefix) -> Result<Oid> {
        let wanted = pinned.whole().as_ref().map(commits::oid).transpose()?;
        for depth in DEPTHS {
            let tip = self.fetch_branch(wanted, depth)?;
            if let Some(found) = commits::on_branch(self.repository, tip, pinned, self.branch)? {
                return Ok(found);
            }
            // With a reference to it, the next, deeper fetch does not download the tip again.
            self.repository
                .reference(&self.reference(), tip, true, "fetched")
                .map_err(|error| self.failed(&error))?;
            if !self.repository.is_shallow() {
                return Err(commits::not_on_branch(self.branch, pinned, commits::NOT_IN_HISTORY));
            }
        }
        let why = format!("it is not among the branch's last {} commits", DEPTHS[1]);
        Err(commits::not_on_branch(self.branch, pinned, &why))
    }

    /// Fetches. If the branch moved meanwhile, resolves and fetches it once more.
    fn fetch_branch(&self, wanted: Option<Oid>, depth: i32) -> Result<Oid> {
        match self.fetch_once(wanted, depth) {
            Err(error) if was_moved(&error) => self.fetch_once(wanted, depth).map_err(|again| {
                let before = match was_moved(&again) {
                    true => "this happened twice, as if the branch were rewritten during each fetch".into(),
                    false => Message::from("the first attempt: ").and(error.cause()),
                };
                again.because(before)
            }),
            result => result,
        }
    }

    /// Resolves the branch and fetches it in one connection, so that the resolved commit is the fetched one.
    fn fetch_once(&self, wanted: Option<Oid>, depth: i32) -> Result<Oid> {
        with_session(self.session, || {
            let mut remote =
                self.repository.remote_anonymous(self.address).map_err(|error| self.failed(&error))?;
            // No credential callback: the transport itself sends the credential, and only to this server.
            let mut connection = remote
                .connect_auth(Direction::Fetch, None, None)
                .map_err(|error| self.failed_at_first(&error))?;
            let tip = self.advertised_commit(connection.remote())?;
            let depth = if wanted == Some(tip) { 1 } else { depth };
            self.download(connection.remote(), depth)?;
            self.repository.find_commit(tip).map_err(|error| self.failed(&error))?;
            Ok(tip)
        })
    }

    fn advertised_commit(&self, remote: &Remote<'_>) -> Result<Oid> {
        let heads = remote.list().map_err(|error| self.failed(&error))?;
        let name = self.reference();
        if let Some(head) = heads.iter().find(|head| head.name() == name) {
            return Ok(head.oid());
        }
        let branches: Vec<Message> = heads
            .iter()
            .filter_map(|head| head.name().strip_prefix("refs/heads/"))
            .take(6)
            .map(|name| ForeignText::message(name).into())
            .collect();
        let named = |some: &[Message]| Message::from("it has ").and(Message::joined(some.to_vec(), ", "));
        let cause = match branches.as_slice() {
            [] => "the repository has no branches at all".into(),
            [some @ .., _] if some.len() == 5 => named(some).and(" and more"),
            all => named(all),
        };
        Err(Error::new(
            Code::BranchMissing,
            format!("looking for branch {} in {}", self.branch, self.session.exchange().repository()),
            cause,
        ))
    }

    fn download(&self, remote: &mut Remote<'_>, depth: i32) -> Result<()> {
        let mut options = FetchOptions::new();
        options.depth(depth).download_tags(AutotagOption::None).update_fetchhead(false);
        let refspec = format!("+{name}:{name}", name = self.reference());
        remote.download(&[refspec], Some(&mut options)).map_err(|error| self.failed(&error))
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    /// An error in the server's first answer, which shows whether its protocol is supported.
    fn failed_at_first(&self, error: &git2::Error) -> Error {
        self.classified(error, true)
    }

    fn failed(&self, error: &git2::Error) -> Error {
        self.classified(error, false)
    }

    /// The transport's own error, if there is one. Otherwise libgit2's message, about the protocol or the local disk.
    fn classified(&self, error: &git2::Error, is_first_answer: bool) -> Error {
        if let Some(failure) = self.session.exchange().failure() {
            return failure;
        }
        let doing = format!("fetching {}", self.session.exchange().repository());
        let cause = ForeignText::message(error.message());
        if let Some(cause) = unsupported::by_server(&cause, is_first_answer) {
            return Fault::GitUnsupported.error(doing, cause).remedy(unsupported::REMEDY);
        }
        match (error.class(), error.code()) {
            (ErrorClass::Os | ErrorClass::Filesystem, _) => Error::of_the_disk(doing, cause),
            _ if cause.judge(is_disk_full) => Error::of_the_disk(doing, cause),
            (_, ErrorCode::Eof) => {
                Fault::GitBrokenOff.error(doing, Message::from("the answer ends early: ").and(cause))
            }
            _ => Fault::GitBrokenOff.error(doing, Message::from("the answer is not usable: ").and(cause)),
        }
    }
}

/// Whether the server refused a commit that it had just advertised: git's message for it, and libgit2's for the
/// unexpected answer.
fn was_moved(error: &Error) -> bool {
    let words = ["not our ref", "unexpected packet type"];
    error.cause().judge(|cause| words.iter().any(|word| cause.contains(word)))
}

fn commit_id(commit: Oid) -> Result<Commit> {
    Commit::try_from(commit.to_string()).map_err(|error| Error::new(Code::Bug, "naming a commit", error))
}
