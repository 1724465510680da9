//! A branch of a remote repository, and the session with its server. Runs in the fetch's child process.

use super::address::Address;
use super::request::FetchRequest;
use super::transport::{Session, with_session};
use super::{commits, http, ssh, unsupported};
use crate::error::{Code, Error, Result, is_disk_full};
use crate::facts::{Branch, Commit, CommitPrefix};
use crate::fault::Fault;
use crate::secret::{ForeignText, Message};
use git2::{AutotagOption, Direction, ErrorClass, ErrorCode, FetchOptions, Oid, Remote, Repository};
use std::sync::Arc;

/// How many commits back a pinned one is searched for. Each depth is a fetch of its own; most are near the newest.
const DEPTHS: [i32; 2] = [50, 1000];

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

pub(super) struct RemoteBranch<'a> {
    pub(super) repository: &'a Repository,
    pub(super) session: &'a Arc<dyn Session>,
    pub(super) address: &'a str,
    pub(super) branch: &'a Branch,
}

impl RemoteBranch<'_> {
    pub(super) fn advertised(&self) -> Result<Oid> {
        with_session(self.session, || {
            let mut remote =
                self.repository.remote_anonymous(self.address).map_err(|error| self.failed(&error))?;
            let mut connection = remote
                .connect_auth(Direction::Fetch, None, None)
                .map_err(|error| self.failed_at_first(&error))?;
            self.advertised_commit(connection.remote())
        })
    }

    pub(super) fn newest(&self, depth: i32) -> Result<Oid> {
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

pub(super) fn commit_id(commit: Oid) -> Result<Commit> {
    Commit::try_from(commit.to_string()).map_err(|error| Error::new(Code::Bug, "naming a commit", error))
}
