//! How a run ends, and the last that is said of it.

use super::{Progress, Report, console, locked, name, publication, tell};
use crate::error::Error;
use crate::machine::{self, now};
use crate::report::status::{State, Status};

impl Report {
    /// The service serves, and something beside it failed.
    pub fn degraded(&self, error: &Error) {
        self.say(&error.to_string());
        self.update(|status| {
            status.error.get_or_insert(error.report());
        });
    }

    /// Whether all else is well, too, is in the state.
    pub fn in_service(&self) {
        self.begin();
        self.update(|status| {
            let state = if status.error.is_none() { State::Healthy } else { State::Warnings };
            status.end(state, now());
        });
        self.last_word();
    }

    /// Nothing good serves, or what served before does.
    pub fn failed(&self, error: &Error) {
        if self.status().error.is_none() {
            self.say(&error.to_string());
        }
        self.begin();
        self.update(|status| {
            status.error.get_or_insert(error.report());
            let state = if status.serving.is_some() { State::Degraded } else { State::Failed };
            status.end(state, now());
        });
        self.last_word();
    }

    /// It was no run: a flag was wrong, say. What is told of the last one stays as it is.
    pub fn refused(&self, error: &Error) {
        if self.status().error.is_none() {
            self.say(&error.to_string());
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

    /// After a run that failed: the deployment that passed before it serves.
    pub fn former_serves(&self) -> bool {
        self.status().state == State::Degraded
    }

    /// Nothing was to be done: then there is nothing to report either.
    /// Whether an earlier run of this boot left its record.
    pub fn follows_another(&self) -> bool {
        self.before.is_there()
    }

    pub fn withdraw(&self) {
        if self.is_published {
            publication::withdraw();
        }
        tracing::info!("no policy yet: bootagent run in user-data will bring one");
    }

    fn last_word(&self) {
        let status = self.status();
        let lines = console::lines(&status);
        let (service, commit) = (name(&status.service), name(&status.commit));
        let code = status.error.as_ref().map(|error| error.code.clone()).unwrap_or_default();
        tracing::info!(service, commit, run_id = status.run_id, code, "{}", lines.join(" | "));
        if self.progress != Progress::Silent {
            locked(&self.living).clear();
            self.on_standard_error(&status, &lines).iter().for_each(tell);
        }
        if self.is_published {
            machine::console(&lines);
        }
    }

    /// Cause and remedy of a failure stand there already, whole.
    fn on_standard_error(&self, status: &Status, lines: &[String]) -> Vec<String> {
        match status.error {
            Some(_) => console::brief(status),
            None => lines.to_vec(),
        }
    }
}
