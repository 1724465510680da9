//! One commit of one branch: fetched, shallow, from a server, or found in a local repository.

use std::path::Path;
use std::sync::Arc;

use git2::{AutotagOption, Direction, ErrorClass, ErrorCode, FetchOptions, Oid, Remote, Repository};

use super::address::Address;
use super::request::{FetchRequest, Repository as From};
use super::transport::{Session, during};
use super::{commits, http, inspect, libgit2, local, ssh, unsupported};
use crate::error::{Code, Error, Result, is_disk_full};
use crate::facts::{Branch, Commit, CommitPrefix, Entry, Source};
use crate::fault::Fault;
use crate::secret::{ForeignText, Message, without_userinfo};

/// How far back from the branch's newest commit a pinned one is looked for. Each is a fetch of its own.
const DEPTHS: [i32; 2] = [50, 1000];

/// Resolves the commit once, brings it here if need be, and tells what is in it.
pub fn fetch(request: &FetchRequest) -> Result<Source> {
    libgit2::set_up()?;
    let (repository, name, commit) = match &request.repository {
        From::Remote { url } => remote(request, url)?,
        From::Local { path } => local(request, path)?,
    };
    let items = inspect::inspect(&repository, commit, &request.limits)?;
    let entries = items.iter().map(|item| Entry { path: item.path.clone(), kind: item.kind }).collect();
    let mut source = Source {
        repository: name,
        branch: request.branch.clone(),
        commit: named(commit)?,
        entries,
        directories: Vec::new(),
        evidence: Default::default(),
        unread: Default::default(),
        absent: Default::default(),
    };
    inspect::record(&mut source, &repository, &items, &request.evidence, &request.limits)?;
    Ok(source)
}

/// Which commit the branch has, and nothing of it.
pub fn tip(request: &FetchRequest) -> Result<Commit> {
    libgit2::set_up()?;
    let url = match &request.repository {
        From::Remote { url } => url,
        From::Local { path } => return named(local(request, path)?.2),
    };
    let (session, address) = session(request, url)?;
    let repository = empty_repository(&request.scratch)?;
    let branch =
        Fetched { repository: &repository, session: &session, address: &address, branch: &request.branch };
    branch.advertised().and_then(named).map_err(|error| session.exchange().redacted(error))
}

fn remote(request: &FetchRequest, url: &str) -> Result<(Repository, String, Oid)> {
    let (session, address) = session(request, url)?;
    converse(request, &session, &address).map_err(|error| session.exchange().redacted(error))
}

fn converse(
    request: &FetchRequest,
    session: &Arc<dyn Session>,
    address: &str,
) -> Result<(Repository, String, Oid)> {
    let repository = empty_repository(&request.scratch)?;
    let branch = Fetched { repository: &repository, session, address, branch: &request.branch };
    let commit = match &request.pinned {
        None => branch.newest(1)?,
        Some(pinned) => branch.pinned(pinned)?,
    };
    Ok((repository, session.exchange().repository().to_owned(), commit))
}

/// With whom to speak, and the address by which libgit2 finds the protocol for it.
fn session(request: &FetchRequest, url: &str) -> Result<(Arc<dyn Session>, String)> {
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
            .ok_or_else(|| commits::elsewhere(&request.branch, pinned, commits::NOT_IN_HISTORY))?,
    };
    Ok((repository, path.display().to_string(), commit))
}

/// No template, no user's configuration: a bare repository and nothing else.
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

struct Fetched<'a> {
    repository: &'a Repository,
    session: &'a Arc<dyn Session>,
    address: &'a str,
    branch: &'a Branch,
}

impl Fetched<'_> {
    fn advertised(&self) -> Result<Oid> {
        during(self.session, || {
            let mut remote =
                self.repository.remote_anonymous(self.address).map_err(|error| self.failed(&error))?;
            let mut connection =
                remote.connect_auth(Direction::Fetch, None, None).map_err(|error| self.refused(&error))?;
            self.listed(connection.remote())
        })
    }

    fn newest(&self, depth: i32) -> Result<Oid> {
        self.reach(None, depth)
    }

    /// Fetches as little history as shows that the commit is in it. The beginning of an id that fits one commit of
    /// that history means that one, whatever fits in what is older.
    fn pinned(&self, pinned: &CommitPrefix) -> Result<Oid> {
        let wanted = pinned.whole().as_ref().map(commits::oid).transpose()?;
        for depth in DEPTHS {
            let tip = self.reach(wanted, depth)?;
            if let Some(found) = commits::on_branch(self.repository, tip, pinned, self.branch)? {
                return Ok(found);
            }
            // Named, it need not come again with the next, deeper fetch.
            self.repository
                .reference(&self.reference(), tip, true, "fetched")
                .map_err(|error| self.failed(&error))?;
            if !self.repository.is_shallow() {
                return Err(commits::elsewhere(self.branch, pinned, commits::NOT_IN_HISTORY));
            }
        }
        let why = format!("it is not among the branch's last {} commits", DEPTHS[1]);
        Err(commits::elsewhere(self.branch, pinned, &why))
    }

    /// The branch may be moved while it is fetched: then, once, it is asked anew where it is.
    fn reach(&self, wanted: Option<Oid>, depth: i32) -> Result<Oid> {
        match self.converse(wanted, depth) {
            Err(error) if was_moved(&error) => self.converse(wanted, depth).map_err(|again| {
                let before = match was_moved(&again) {
                    true => "twice, as for a branch that is rewritten while it is fetched".into(),
                    false => Message::from("and before: ").and(error.cause()),
                };
                again.because(before)
            }),
            result => result,
        }
    }

    /// Asks where the branch is and fetches that, in one conversation: what was resolved is what comes.
    fn converse(&self, wanted: Option<Oid>, depth: i32) -> Result<Oid> {
        during(self.session, || {
            let mut remote =
                self.repository.remote_anonymous(self.address).map_err(|error| self.failed(&error))?;
            // No callbacks: the transport sends the credential by itself, and only to this server.
            let mut connection =
                remote.connect_auth(Direction::Fetch, None, None).map_err(|error| self.refused(&error))?;
            let tip = self.listed(connection.remote())?;
            let depth = if wanted == Some(tip) { 1 } else { depth };
            self.download(connection.remote(), depth)?;
            self.repository.find_commit(tip).map_err(|error| self.failed(&error))?;
            Ok(tip)
        })
    }

    fn listed(&self, remote: &Remote<'_>) -> Result<Oid> {
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

    /// What the server says first shows whether it is one that can be spoken with.
    fn refused(&self, error: &git2::Error) -> Error {
        self.judged(error, true)
    }

    fn failed(&self, error: &git2::Error) -> Error {
        self.judged(error, false)
    }

    /// The transport knows best; what libgit2 says itself is about the protocol or about our disk.
    fn judged(&self, error: &git2::Error, is_first_answer: bool) -> Error {
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

/// The server refuses a commit that it has named itself a moment before: in git's words, and in libgit2's
/// where it waits for something else.
fn was_moved(error: &Error) -> bool {
    let words = ["not our ref", "unexpected packet type"];
    error.cause().judge(|cause| words.iter().any(|word| cause.contains(word)))
}

fn named(commit: Oid) -> Result<Commit> {
    Commit::try_from(commit.to_string()).map_err(|error| Error::new(Code::Bug, "naming a commit", error))
}
