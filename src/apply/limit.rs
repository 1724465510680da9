//! How long a run may take, and what is said when it may no longer.

use std::pin::{Pin, pin};
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::plan::Seconds;
use crate::report::Report;

/// The end of everybody's patience with a run.
pub struct Limit<'a> {
    pub until: Instant,
    pub budget: Seconds,
    pub report: &'a Report,
}

impl Limit<'_> {
    /// Carries on until the work is done, the budget is spent, or a signal ends the run.
    pub async fn hold<T>(
        &self,
        stop: Pin<&mut impl Future<Output = &'static str>>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // What it waits for is known for as long as it is there.
        let mut work = pin!(work);
        let given_up = tokio::select! {
            done = &mut work => return done,
            signal = stop => Error::new(Code::Cancelled, "running", format!("{signal} arrived")),
            _ = tokio::time::sleep_until(self.until.into()) => {
                let cause = format!("the budget of {} is spent", self.budget);
                Error::new(Code::Deadline, "bringing the service into service", cause)
            }
        };
        Err(self.report.waiting_for(given_up))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::progress::say;
    use crate::report::Progress;

    async fn held(limit: Duration, stop: impl Future<Output = &'static str>) -> Vec<String> {
        let report = Report::new(Progress::Silent, String::new());
        let limit = Limit { until: Instant::now() + limit, budget: Seconds(7), report: &report };
        let waiting = report.during("fetch", "fetching branch main", async {
            say("try 3, after: the server answers 503");
            std::future::pending::<Result<()>>().await
        });
        let error = limit.hold(pin!(stop), waiting).await.unwrap_err();
        assert!(report.waiting_for(Error::new(Code::Bug, "", "nothing")).report().causes.len() == 1);
        error.report().causes
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_says_for_what_and_the_last_cause_seen() {
        for (limit, stop, first) in
            [(40, None, "the budget of 7 s is spent"), (60_000, Some("SIGTERM"), "SIGTERM arrived")]
        {
            let stop = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                match stop {
                    Some(signal) => signal,
                    None => std::future::pending().await,
                }
            };
            let causes = held(Duration::from_millis(limit), stop).await;
            assert_eq!((causes.len(), causes[0].as_str()), (2, first));
            assert!(causes[1].starts_with("waiting for fetch: fetching branch main, for "), "{causes:?}");
            assert!(causes[1].ends_with(" s: try 3, after: the server answers 503"), "{causes:?}");
        }
    }
}
