//! Finds a commit of a branch by its id, or by the beginning of it, in the fetched part of the history.

use git2::{Oid, Repository};

use crate::error::{Code, Error, Result};
use crate::facts::{Branch, Commit, CommitPrefix};

pub const NOT_IN_HISTORY: &str = "it is not in the branch's history";

/// How many commits an error names.
const MOST_NAMED: usize = 3;

/// The commit `pinned` in the history of `tip`; `None` if it is not there. Fails if several commits begin with it.
pub fn on_branch(
    repository: &Repository,
    tip: Oid,
    pinned: &CommitPrefix,
    branch: &Branch,
) -> Result<Option<Oid>> {
    if let Some(whole) = pinned.whole() {
        let wanted = oid(&whole)?;
        return Ok(contains(repository, tip, wanted).then_some(wanted));
    }
    let unread = |error: git2::Error| {
        Error::new(Code::Bug, format!("reading the history of branch {branch}"), error.message())
    };
    let mut walk = repository.revwalk().map_err(unread)?;
    walk.push(tip).map_err(unread)?;
    // Where a shallow history ends, the walk does, too.
    let ids = walk.map_while(std::result::Result::ok).map(|id| id.to_string());
    let found: Vec<String> = ids.filter(|id| id.starts_with(pinned.as_str())).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Oid::from_str(one).map(Some).map_err(unread),
        several => Err(ambiguous(branch, pinned, several)),
    }
}

fn contains(repository: &Repository, tip: Oid, wanted: Oid) -> bool {
    tip == wanted
        || (repository.find_commit(wanted).is_ok()
            && repository.graph_descendant_of(tip, wanted).is_ok_and(|descends| descends))
}

fn ambiguous(branch: &Branch, pinned: &CommitPrefix, several: &[String]) -> Error {
    let named = several.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if several.len() > MOST_NAMED { " and more" } else { "" };
    let cause = format!("{} commits begin with it: {named}{more}", several.len());
    Error::new(Code::CommitAmbiguous, format!("looking for commit {pinned} on branch {branch}"), cause)
}

pub fn not_on_branch(branch: &Branch, pinned: &CommitPrefix, why: &str) -> Error {
    Error::new(Code::CommitNotOnBranch, format!("looking for commit {pinned} on branch {branch}"), why)
}

pub fn oid(commit: &Commit) -> Result<Oid> {
    Oid::from_str(commit.as_str())
        .map_err(|error| Error::new(Code::Bug, "reading a commit id", error.message()))
}
