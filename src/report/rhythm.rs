//! When the status file is written. A run that finds everything as it should be changes its status sixty times within fifty
//! milliseconds, and each write is a new file. So while something is there to write the rest, a change soon after a write waits,
//! and is written with those that follow it, at the latest before the run changes the machine: a killed run must not leave more
//! than its status tells.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The shortest time between two writes that need not be at once.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Default)]
pub struct Rhythm {
    last: Mutex<Option<Instant>>,
    is_due: AtomicBool,
    may_wait: AtomicBool,
    left: Notify,
}

impl Rhythm {
    /// From now on changes may wait, until the returned value is dropped.
    pub fn postpone(&self) -> Postponing<'_> {
        self.may_wait.store(true, Relaxed);
        Postponing(self)
    }

    /// Whether a change is to be written at once. If not, it is due.
    pub fn is_now(&self) -> bool {
        if !self.may_wait.load(Relaxed) || self.pause().is_zero() {
            return true;
        }
        self.is_due.store(true, Relaxed);
        self.left.notify_one();
        false
    }

    pub fn is_due(&self) -> bool {
        self.is_due.load(Relaxed)
    }

    pub fn written(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.is_due.store(false, Relaxed);
    }

    /// Waits until a change that was left is to be written.
    pub async fn due(&self) {
        self.left.notified().await;
        tokio::time::sleep(self.pause()).await;
    }

    /// Until the next write.
    fn pause(&self) -> Duration {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map_or(Duration::ZERO, |last| PAUSE.saturating_sub(last.elapsed()))
    }
}

pub struct Postponing<'a>(&'a Rhythm);

impl Drop for Postponing<'_> {
    fn drop(&mut self) {
        self.0.may_wait.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_soon_after_a_write_waits_and_is_written_with_the_next() {
        let rhythm = Rhythm::default();
        let postponing = rhythm.postpone();
        assert!(rhythm.is_now(), "the first");
        rhythm.written();
        assert!(!rhythm.is_now() && !rhythm.is_now() && rhythm.is_due());
        let before = Instant::now();
        rhythm.due().await;
        assert!(before.elapsed() < 20 * PAUSE && rhythm.pause().is_zero());
        rhythm.written();
        assert!(!rhythm.is_due());
        drop(postponing);
        assert!(rhythm.is_now(), "nothing would write it later");
    }

    #[tokio::test]
    async fn a_change_long_after_a_write_does_not_wait() {
        let rhythm = Rhythm::default();
        let _postponing = rhythm.postpone();
        rhythm.written();
        tokio::time::sleep(PAUSE).await;
        assert!(rhythm.is_now());
    }
}
