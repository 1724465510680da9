//! The one policy for waiting and trying again: full jitter, growing pauses, an end.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What one attempt came to.
pub enum Attempt<T> {
    Done(T),
    /// It may come right by itself.
    Again(Error),
    /// It will not.
    Stop(Error),
}

/// Tries until it is done, until it cannot be, or until the time is up: then the last error counts.
pub async fn patiently<T>(until: Instant, mut attempt: impl AsyncFnMut() -> Attempt<T>) -> Result<T> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match attempt().await {
            Attempt::Done(value) => return Ok(value),
            Attempt::Stop(error) => return Err(error),
            Attempt::Again(error) => error,
        };
        // A whole group boots at once: nobody may knock in step with the others.
        let jitter = pause.mul_f64(random());
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(error);
        }
        tracing::debug!(error = %error.report().causes.join(": "), "trying again");
        // The last attempt is at the very end: who waits two minutes may come after two minutes.
        sleep(jitter.min(left)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between 0 and 1, good enough to spread a fleet.
fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn failure() -> Error {
        Error::new(Code::GitUnreachable, "fetching", "503")
    }

    #[tokio::test]
    async fn it_tries_again_until_it_is_done() {
        let mut left = 2;
        let done = patiently(Instant::now() + Duration::from_secs(20), async || {
            if left == 0 {
                return Attempt::Done("done");
            }
            left -= 1;
            Attempt::Again(failure())
        });
        assert_eq!(done.await.unwrap(), "done");
    }

    #[tokio::test]
    async fn it_ends_with_the_last_error_when_time_is_up_and_at_once_when_told_to() {
        let error = patiently::<()>(Instant::now(), async || Attempt::Again(failure())).await.unwrap_err();
        assert_eq!(error.code(), Code::GitUnreachable);
        let mut tried = 0;
        let stopped = patiently::<()>(Instant::now() + Duration::from_secs(20), async || {
            tried += 1;
            Attempt::Stop(failure())
        });
        assert!(stopped.await.is_err());
        assert_eq!(tried, 1, "a permanent error was tried again");
    }

    #[tokio::test]
    async fn it_waits_to_the_very_end() {
        let until = Instant::now() + Duration::from_millis(50);
        let late = patiently(until, async || match Instant::now() < until {
            true => Attempt::Again(failure()),
            false => Attempt::Done("late"),
        });
        assert_eq!(late.await.unwrap(), "late");
    }

    #[test]
    fn jitter_is_a_fraction() {
        assert!((0..1000).map(|_| random()).all(|part| (0.0..1.0).contains(&part)));
    }
}
