//! Ends a run when its budget is spent or a signal arrives, and names in the error what the run was waiting for.

use std::pin::{Pin, pin};
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::machine::budget;
use crate::plan::Seconds;
use crate::report::Report;

/// The time limit of a run.
pub struct Limit<'a> {
    pub until: Instant,
    /// For the error's text.
    pub budget: Seconds,
    /// Knows what the run waits for.
    pub report: &'a Report,
}

impl Limit<'_> {
    /// Runs `work` to its end. `E-DEADLINE` if the budget is spent before, `E-CANCELLED` if `stop` yields a signal's
    /// name.
    pub async fn run<T>(
        &self,
        stop: Pin<&mut impl Future<Output = &'static str>>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // `work` must be dropped after `waiting_for`: the report forgets what a future waits for when it is dropped.
        let mut work = pin!(budget::until(self.until, work));
        let error = tokio::select! {
            done = &mut work => return done,
            signal = stop => Error::new(Code::Cancelled, "running", format!("received {signal}")),
            _ = tokio::time::sleep_until(self.until.into()) => {
                let cause = format!("the budget of {} is spent", self.budget);
                Error::new(Code::Deadline, "deploying the service", cause)
            }
        };
        Err(self.report.waiting_for(error))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::progress::say;
    use crate::report::Progress;

    async fn causes(limit: Duration, stop: impl Future<Output = &'static str>) -> Vec<String> {
        let report = Report::new(Progress::Silent, String::new());
        let limit = Limit { until: Instant::now() + limit, budget: Seconds(7), report: &report };
        let waiting = report.during("fetch", "fetching branch main", async {
            say("try 3, after: the server answers 503");
            std::future::pending::<Result<()>>().await
        });
        let error = limit.run(pin!(stop), waiting).await.unwrap_err();
        assert!(report.waiting_for(Error::new(Code::Bug, "", "nothing")).report().causes.len() == 1);
        error.report().causes
    }

    #[tokio::test]
    async fn the_error_names_what_the_run_waited_for_and_its_last_cause() {
        for (limit, stop, first) in
            [(40, None, "the budget of 7 s is spent"), (60_000, Some("SIGTERM"), "received SIGTERM")]
        {
            let stop = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                match stop {
                    Some(signal) => signal,
                    None => std::future::pending().await,
                }
            };
            let causes = causes(Duration::from_millis(limit), stop).await;
            assert_eq!((causes.len(), causes[0].as_str()), (2, first));
            assert!(causes[1].starts_with("waiting for fetch: fetching branch main, for "), "{causes:?}");
            assert!(causes[1].ends_with(" s: try 3, after: the server answers 503"), "{causes:?}");
        }
    }
}
