//! Retries with exponential backoff and full jitter. The table of faults (`fault.rs`) decides which errors are retried,
//! and for how long.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::progress;
use crate::secret::Message;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest wait that a server's Retry-After header can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Until when and how often the caller retries. The fault's own time limit may end sooner.
#[derive(Clone, Copy, Debug)]
pub struct RetryLimit {
    until: Instant,
    tries: u32,
}

impl RetryLimit {
    pub fn until(until: Instant) -> Self {
        RetryLimit { until, tries: u32::MAX }
    }

    /// Ends after `time` from now.
    pub fn lasting(time: Duration) -> Self {
        Self::until(Instant::now() + time)
    }

    /// 0 means that only the time is limited.
    pub fn tries(self, tries: u32) -> Self {
        RetryLimit { tries: if tries == 0 { u32::MAX } else { tries }, ..self }
    }

    /// The time until the end; zero after it.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// Whether the error is one that is tried again.
pub fn is_retried(error: &Error) -> bool {
    Fault::of(error).is_some_and(Fault::is_retried)
}

/// Repeats `attempt` until it succeeds, fails with an error that is not retried, or time or tries are used up. Then it
/// returns the last error, with the number of tries and the time that they took.
pub async fn with_retries<T>(patience: RetryLimit, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let mut backoff = Backoff::default();
    let mut tried = 0;
    let mut before = None;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        tried += 1;
        let Some(fault) = Fault::of(&error).filter(|fault| fault.is_retried()) else {
            return Err(error);
        };
        let left = end(fault, patience, started).saturating_duration_since(Instant::now());
        if left.is_zero() || tried >= patience.tries {
            return Err(with_tries(more_telling(before, error), tried, started.elapsed()));
        }
        tracing::debug!(fault = fault.name(), "trying again");
        progress::say(Message::from(format!("try {}, after: ", tried + 1)).and(error.cause()));
        // The last attempt is at the time limit itself: what takes two minutes succeeds with a limit of two minutes.
        sleep(backoff.pause(&error).min(left)).await;
        before = Some(more_telling(before, error));
    }
}

/// A last attempt that stalls may only have begun too late: then the error before it says more.
fn more_telling(before: Option<Error>, last: Error) -> Error {
    match (before, Fault::of(&last)) {
        (Some(before), Some(Fault::GitStalled)) => before,
        _ => last,
    }
}

/// The end of the caller's patience or, if sooner, of the fault's time limit. Faults without one have a setting, which
/// the caller's patience follows.
fn end(fault: Fault, patience: RetryLimit, started: Instant) -> Instant {
    fault.most().map_or(patience.until, |most| patience.until.min(started + most.duration()))
}

/// The pauses between the tries of one call. `simulation` gives them a clock of its own.
struct Backoff {
    /// The longest that the next pause can be.
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: FIRST_PAUSE }
    }
}

impl Backoff {
    /// The pause is random, because a group of instances boots at once and must not retry at the same moment. A server's
    /// Retry-After comes on top of it.
    fn pause(&mut self, error: &Error) -> Duration {
        let retry_after =
            error.retry_after_seconds().map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_ASKED);
        let pause = retry_after + self.next.mul_f64(fastrand::f64());
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        pause
    }
}

fn with_tries(error: Error, tried: u32, took: Duration) -> Error {
    match tried {
        1 => error,
        _ => error.with_note(&format!("tried {tried} times in {} s", took.as_secs())),
    }
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn busy() -> Error {
        Fault::GitBusy.error("fetching", "503")
    }

    fn short() -> RetryLimit {
        RetryLimit::lasting(Duration::from_secs(20))
    }

    #[tokio::test]
    async fn it_retries_until_it_succeeds() {
        let mut left = 2;
        let done = with_retries(short(), async || {
            if left == 0 {
                return Ok("done");
            }
            left -= 1;
            Err(busy())
        });
        assert_eq!(done.await.unwrap(), "done");
    }

    #[tokio::test]
    async fn it_returns_the_last_error_when_time_is_up() {
        let error =
            with_retries::<()>(RetryLimit::until(Instant::now()), async || Err(busy())).await.unwrap_err();
        assert_eq!((error.code(), error.report().causes), (Code::GitUnreachable, vec!["503".to_owned()]));
    }

    #[tokio::test]
    async fn the_number_of_tries_is_limited_and_reported() {
        let error = with_retries::<()>(short().tries(3), async || Err(busy())).await.unwrap_err();
        assert!(error.report().causes[0].starts_with("503 (tried 3 times in "), "{error}");
    }

    #[tokio::test]
    async fn a_late_attempt_that_stalls_does_not_hide_the_error_before_it() {
        let mut tried = 0;
        let stalls = with_retries::<()>(short().tries(3), async || {
            tried += 1;
            Err(if tried == 1 { busy() } else { Fault::GitStalled.error("fetching", "not done after 1 s") })
        });
        assert_eq!(Fault::of(&stalls.await.unwrap_err()), Some(Fault::GitBusy));
        let refused =
            with_retries::<()>(short(), async || Err(Fault::GitRefused.error("fetching", "403"))).await;
        assert_eq!(Fault::of(&refused.unwrap_err()), Some(Fault::GitRefused));
    }

    #[tokio::test]
    async fn a_permanent_error_is_returned_at_once() {
        for error in [Fault::GitRefused.error("fetching", "403"), Error::new(Code::GitUnreachable, "a", "b")]
        {
            let (mut tried, mut error) = (0, Some(error));
            let stopped = with_retries::<()>(short(), async || {
                tried += 1;
                Err(error.take().unwrap())
            });
            assert!(stopped.await.is_err());
            assert_eq!(tried, 1, "a permanent error was tried again");
        }
    }

    #[test]
    fn a_fault_ends_with_its_own_time_limit() {
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let patience = RetryLimit::until(now + hour);
        assert_eq!(end(Fault::GitBusy, patience, now), now + Fault::GitBusy.most().unwrap().duration());
        assert_eq!(end(Fault::TagLate, patience, now), now + hour, "imds.wait says how long");
        assert_eq!(
            end(Fault::GitBusy, RetryLimit::until(now), now),
            now,
            "the caller's end counts if it is sooner"
        );
    }

    #[test]
    fn retry_after_is_obeyed_up_to_a_limit() {
        let pause_of = |seconds| Backoff::default().pause(&busy().retry_after(Some(seconds)));
        assert!(pause_of(7) >= Duration::from_secs(7) && pause_of(7) < Duration::from_secs(8));
        assert!(pause_of(86_400) < LONGEST_ASKED + FIRST_PAUSE);
        assert!(Backoff::default().pause(&busy()) < FIRST_PAUSE);
    }

    #[tokio::test]
    async fn the_last_attempt_is_at_the_time_limit() {
        let until = Instant::now() + Duration::from_millis(50);
        let late = with_retries(RetryLimit::until(until), async || match Instant::now() < until {
            true => Err(busy()),
            false => Ok("late"),
        });
        assert_eq!(late.await.unwrap(), "late");
    }
}
