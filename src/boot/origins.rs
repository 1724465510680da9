//! Where a run may read its commit from: a list of origins, of which the first one that answers gives it.

use super::identify::Identified;
use crate::error::{Code, Error, Result};
use crate::facts::Source;
use crate::observe::{self, Flags};
use crate::planner;

/// Where a commit may be read from.
pub enum Origin<'a> {
    /// The record of the commit that this instance is pinned to, or of a kept release. Needs no git server.
    Record(&'a Source),
    /// The record of the image's release, if the git server says that its commit is the branch's newest.
    Baked(&'a Source),
    /// The repository's git server.
    Remote,
}

/// A rollback to a kept release reads its record: an outage of the git server may be the reason for the rollback.
pub fn origins<'a>(
    decided: Option<&'a Source>,
    Identified { facts, selection, policy, .. }: &'a Identified,
    flags: &Flags,
) -> Vec<Origin<'a>> {
    // A signature is verified when a commit is fetched: the image may have been made under another policy.
    let baked = planner::baked(facts, selection).filter(|_| policy.signers().is_empty());
    let baked = baked.map(|baked| &baked.source);
    let decided = decided.filter(|_| !flags.update);
    let kept = selection.pinned.as_ref().filter(|_| facts.instance.is_some());
    let kept = kept.and_then(|commit| planner::kept_of_commit(facts, selection, commit));
    let fits = |source: &&Source| selection.pinned.as_ref().is_some_and(|pinned| pinned.fits(&source.commit));
    let recorded = decided.or(kept.map(|kept| &kept.source)).or(baked.filter(fits));
    let last = match baked.filter(|_| selection.pinned.is_none()) {
        Some(source) => Origin::Baked(source),
        None => Origin::Remote,
    };
    recorded.map(Origin::Record).into_iter().chain([last]).collect()
}

/// Reads from the first origin; from the next one only after a fault for which the table of faults allows it.
pub async fn first<O, T>(origins: Vec<O>, mut read: impl AsyncFnMut(O) -> Result<T>) -> Result<T> {
    let mut last = Error::new(Code::Bug, "reading the commit", "it has no origin");
    for origin in origins {
        match read(origin).await {
            Err(error) if observe::leads_to_next_origin(&error) => last = error,
            read => return read,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    /// Reads two origins, of which the first one has this fault.
    async fn read(fault: Fault) -> Result<&'static str> {
        let read = async |origin| match origin {
            "server" => Err(fault.error("fetching", "a cause")),
            other => Ok(other),
        };
        first(vec!["server", "bundle"], read).await
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_reached_leads_to_the_next_origin() {
        for fault in [Fault::GitUnreachable, Fault::GitBusy, Fault::GitStalled] {
            assert_eq!(read(fault).await.unwrap(), "bundle", "{}", fault.name());
        }
    }

    #[tokio::test]
    async fn what_a_server_refuses_is_not_read_from_another_origin() {
        for fault in [Fault::GitRefused, Fault::GitNotFound, Fault::GitHostKey, Fault::GitUntrusted] {
            assert_eq!(Fault::of(&read(fault).await.unwrap_err()), Some(fault));
        }
    }

    #[tokio::test]
    async fn if_no_origin_answers_the_last_fault_is_the_error() {
        let read = async |fault: Fault| Err::<(), _>(fault.error("fetching", "a cause"));
        let error = first(vec![Fault::GitBusy, Fault::GitUnreachable], read).await.unwrap_err();
        assert_eq!(Fault::of(&error), Some(Fault::GitUnreachable));
    }
}
