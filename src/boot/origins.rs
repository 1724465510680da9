//! Where a run may read its commit from: the record of an earlier run, or a list of origins, of which the first one that answers
//! gives it.

use super::identify::Identified;
use crate::error::{Code, Error, Result};
use crate::facts::Source;
use crate::observe::Flags;
use crate::plan::Seconds;
use crate::planner;

/// What was recorded of a commit: by an earlier run, or when the image was made.
pub enum Recorded<'a> {
    /// The commit that this instance is pinned to, or of a kept release. Needs no git server.
    Wanted(&'a Source),
    /// The image's release, which is wanted if its commit is the branch's newest.
    Baked(&'a Source),
}

/// A rollback to a kept release reads its record: an outage of the git server may be the reason for the rollback.
pub fn recorded<'a>(
    decided: Option<&'a Source>,
    Identified { facts, selection, policy, .. }: &'a Identified,
    flags: &Flags,
) -> Option<Recorded<'a>> {
    // A signature is verified when a commit is fetched: the image may have been made under another policy.
    let baked = planner::baked(facts, selection).filter(|_| policy.signers().is_empty());
    let baked = baked.map(|baked| &baked.source);
    let decided = decided.filter(|_| !flags.update);
    let kept = selection.pinned.as_ref().filter(|_| facts.instance.is_some());
    let kept = kept.and_then(|commit| planner::kept_of_commit(facts, selection, commit));
    let fits = |source: &&Source| selection.pinned.as_ref().is_some_and(|pinned| pinned.fits(&source.commit));
    let wanted = decided.or(kept.map(|kept| &kept.source)).or(baked.filter(fits));
    let of_image = baked.filter(|_| selection.pinned.is_none());
    wanted.map(Recorded::Wanted).or(of_image.map(Recorded::Baked))
}

/// Reads from the first origin; from the next one only after an error that leads on. If none gives the commit, the error is the
/// first origin's, with what the others said.
pub async fn first<O, T>(
    origins: Vec<O>,
    leads_on: impl Fn(&O, &Error) -> bool,
    mut read: impl AsyncFnMut(&O, Turn) -> Result<T>,
) -> Result<T> {
    let mut failed: Option<Error> = None;
    let count = origins.len();
    for (index, origin) in origins.iter().enumerate() {
        match read(origin, Turn { is_last: index + 1 == count }).await {
            Err(error) => {
                let leads = leads_on(origin, &error);
                let error = match failed.take() {
                    // Refused by a copy: that is what an operator can mend.
                    Some(first) if !leads => error.because(first.cause()),
                    Some(first) => first.because(said(&error)),
                    None => error,
                };
                if !leads {
                    return Err(error);
                }
                failed = Some(error);
            }
            read => return read,
        }
    }
    Err(failed.unwrap_or_else(|| Error::new(Code::Bug, "reading the commit", "it has no origin")))
}

/// What an origin of the list may know of the others.
#[derive(Clone, Copy)]
pub struct Turn {
    pub is_last: bool,
}

impl Turn {
    /// How long this origin is asked. If there is another one, time must be left for it, and for the build.
    pub fn patience(self, left: Seconds, wait: Seconds) -> Seconds {
        match self.is_last {
            true => left,
            false => wait.min(Seconds(left.0 / 2)),
        }
    }
}

fn said(error: &Error) -> crate::secret::Message {
    crate::secret::Message::from(format!("{}: ", error.report().doing)).and(error.cause())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code, cause: &str) -> Error {
        Error::new(code, "reading", cause)
    }

    /// Reads three origins, of which the first two fail so.
    async fn read(failures: [Code; 2]) -> Result<&'static str> {
        let read = async |origin: &usize, _| match failures.get(*origin) {
            Some(code) => Err(error(*code, &format!("cause {origin}"))),
            None => Ok("the third"),
        };
        first(vec![0, 1, 2], |_, error| error.code() == Code::GitUnreachable, read).await
    }

    #[tokio::test]
    async fn an_unreachable_origin_leads_to_the_next_one_and_a_refusal_does_not() {
        assert_eq!(read([Code::GitUnreachable; 2]).await.unwrap(), "the third");
        assert_eq!(read([Code::GitRefused; 2]).await.unwrap_err().code(), Code::GitRefused);
        let refused = read([Code::GitUnreachable, Code::GitRefused]).await.unwrap_err();
        assert_eq!(refused.code(), Code::GitRefused);
        assert_eq!(refused.report().causes.join(": "), "cause 1: cause 0");
    }

    #[tokio::test]
    async fn if_no_origin_gives_it_the_error_is_the_first_one_s_with_the_causes_of_all() {
        let read =
            async |origin: &usize, _| Err::<(), _>(error(Code::GitUnreachable, &format!("cause {origin}")));
        let failed = first(vec![0, 1], |_, _| true, read).await.unwrap_err();
        assert_eq!(failed.report().causes, ["cause 0", "reading: cause 1"]);
    }

    #[test]
    fn an_origin_leaves_time_for_the_next_one() {
        let patience = |is_last, left| Turn { is_last }.patience(Seconds(left), Seconds(60)).0;
        assert_eq!((patience(false, 800), patience(false, 20), patience(true, 800)), (60, 10, 800));
    }
}
