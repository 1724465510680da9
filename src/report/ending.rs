//! Reports the end of a run: its final state, the journal entry and the last lines.

use super::{Progress, Report, console, locked, name, publication, tell};
use crate::error::Error;
use crate::machine::{self, now};
use crate::plan::Mark;
use crate::report::status::{State, Status};

impl Report {
    /// Reports the failure of a clean-up step: the service is healthy.
    pub fn degraded(&self, error: &Error) {
        self.say_error(&error.to_string());
        self.update(|status| {
            status.error.get_or_insert(error.report());
        });
    }

    /// Ends the run: the service is healthy, perhaps with warnings; or, of a plan without a health check, its release is
    /// complete.
    pub fn in_service(&self) {
        self.claim();
        self.update(|status| {
            let has_mark = |mark| status.steps.iter().any(|step| step.mark == Some(mark));
            let state = match status.error {
                None if has_mark(Mark::Whole) && !has_mark(Mark::Passed) => State::Prepared,
                None => State::Healthy,
                Some(_) => State::Warnings,
            };
            status.end(state, now());
        });
        self.print_end();
    }

    /// Ends the run: nothing serves, or the previous deployment does.
    pub fn failed(&self, error: &Error) {
        if self.status().error.is_none() {
            self.say_error(&error.to_string());
        }
        self.claim();
        self.update(|status| {
            status.error.get_or_insert(error.report());
            let state = if status.serving.is_some() { State::Degraded } else { State::Failed };
            status.end(state, now());
        });
        self.print_end();
    }

    /// Reports a run that was refused before it began, as for a wrong flag, and restores the status of the last run.
    pub fn refused(&self, error: &Error) {
        if self.status().error.is_none() {
            self.say_error(&error.to_string());
        }
        if self.is_published {
            self.before.put_back();
        }
        let code = error.code().name();
        tracing::error!(run_id = self.status().run_id, code, "{error}");
    }

    pub fn has_warnings(&self) -> bool {
        self.status().state == State::Warnings
    }

    /// Whether this run failed and the previous deployment serves.
    pub fn former_serves(&self) -> bool {
        self.status().state == State::Degraded
    }

    /// Whether an earlier run in this boot left its status.
    pub fn follows_another(&self) -> bool {
        self.before.is_there()
    }

    /// Removes the status: without a policy there is nothing to do or report.
    pub fn withdraw(&self) {
        if self.is_published {
            publication::withdraw();
        }
        tracing::info!("no policy yet: waiting for bootagent run in user-data");
    }

    fn print_end(&self) {
        let status = self.status();
        let lines = console::lines(&status);
        let (service, commit) = (name(&status.service), name(&status.commit));
        let code = status.error.as_ref().map(|error| error.code.clone()).unwrap_or_default();
        tracing::info!(service, commit, run_id = status.run_id, code, "{}", lines.join(" | "));
        let is_shown = match self.progress {
            Progress::Silent => false,
            Progress::Quiet => status.error.is_some(),
            Progress::Lines | Progress::Living => true,
        };
        if is_shown {
            locked(&self.living).clear();
            self.on_standard_error(&status, &lines).iter().for_each(tell);
        }
        if self.is_published {
            machine::console(&lines);
        }
    }

    /// Standard error already has the full error of a failed run.
    fn on_standard_error(&self, status: &Status, lines: &[String]) -> Vec<String> {
        match status.error {
            Some(_) => console::brief(status),
            None => lines.to_vec(),
        }
    }
}
