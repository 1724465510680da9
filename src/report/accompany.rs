//! What goes on beside a run: the heartbeat, the lines about what it waits for, and the writes of the status file that were left
//! for later.

use std::time::{Duration, Instant};

use super::{HEARTBEAT, Progress, Report, locked, ongoing};
use crate::machine::now;

const TICK: Duration = Duration::from_secs(1);

impl Report {
    /// Runs `work`, and meanwhile updates the heartbeat and shows what the run waits for. What is to be written then is written with
    /// the end of the run (`ending`).
    pub async fn accompany<T>(&self, work: impl Future<Output = T>) -> T {
        let postponing = self.rhythm.postpone();
        let done = tokio::select! {
            done = work => done,
            never = self.tick_on() => never,
            never = self.write_on() => never,
        };
        drop(postponing);
        locked(&self.living).clear();
        done
    }

    async fn write_on<T>(&self) -> T {
        loop {
            self.rhythm.due().await;
            self.write_rest();
        }
    }

    async fn tick_on<T>(&self) -> T {
        loop {
            tokio::time::sleep(TICK).await;
            self.tick();
        }
    }

    fn tick(&self) {
        let waiting = locked(&self.ongoing).waiting();
        let status = self.status();
        let is_due = status.waiting != waiting || now().saturating_sub(status.heartbeat) >= HEARTBEAT;
        drop(status);
        if is_due {
            self.claim();
            self.update(|_| {});
        }
        let lines = locked(&self.ongoing).lines(Instant::now());
        if self.is_published {
            lines.iter().for_each(|line| tracing::info!("{line}"));
        }
        match self.progress {
            Progress::Silent | Progress::Quiet => {}
            Progress::Lines => lines.iter().for_each(|line| self.say(line)),
            Progress::Living => match ongoing::line(&waiting, now()) {
                Some(line) => {
                    let line = format!("bootagent {:4} s  {line}", self.started.elapsed().as_secs());
                    locked(&self.living).show(&line);
                }
                None => locked(&self.living).clear(),
            },
        }
    }
}
