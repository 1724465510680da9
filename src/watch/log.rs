//! What the watcher tells: to the journal, and in its state file for `bootagent status`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;
use crate::facts::{Watched, WatchedEvent};
use crate::machine;
use crate::plan::{Mode, Owner, layout};

/// Older events are in the journal alone.
const MOST_EVENTS: usize = 20;

pub struct Log {
    state: RefCell<Watched>,
    /// The last text of each subject that keeps failing, so that it is told once.
    last: RefCell<BTreeMap<&'static str, String>>,
    ending: Cell<bool>,
}

impl Log {
    pub fn new() -> Log {
        let state = Watched { since: machine::now(), ..Watched::default() };
        let log = Log { state: RefCell::new(state), last: Default::default(), ending: Cell::new(false) };
        log.write();
        log
    }

    /// Whether the instance is about to end: then nothing is deployed and nothing is reported.
    pub fn is_ending(&self) -> bool {
        self.ending.get()
    }

    pub fn ends(&self) {
        self.ending.set(true);
    }

    /// It goes into service, from a warm pool.
    pub fn begins(&self) {
        self.ending.set(false);
    }

    /// Only to the journal.
    pub fn say(&self, text: String) {
        tracing::info!("{text}");
    }

    /// Something that happened.
    pub fn event(&self, text: String) {
        tracing::warn!("{text}");
        let mut state = self.state.borrow_mut();
        state.events.push(WatchedEvent { at: machine::now(), text });
        let surplus = state.events.len().saturating_sub(MOST_EVENTS);
        state.events.drain(..surplus);
        drop(state);
        self.write();
    }

    /// An operation of this subject failed. Told when it begins to fail, and when it fails otherwise.
    pub fn failed(&self, subject: &'static str, error: Error) {
        let text = error.in_public().to_string();
        if self.last.borrow_mut().insert(subject, text.clone()).as_ref() != Some(&text) {
            self.event(text);
        }
    }

    /// It succeeded.
    pub fn succeeded(&self, subject: &'static str) {
        if self.last.borrow_mut().remove(subject).is_some() {
            self.event(format!("{subject}: works again"));
        }
    }

    /// The warnings that hold now.
    pub fn warnings(&self, warnings: Vec<String>) {
        let before = std::mem::replace(&mut self.state.borrow_mut().warnings, warnings.clone());
        if before != warnings {
            self.write();
        }
    }

    /// Ignores errors: the journal has all of it.
    fn write(&self) {
        if let Ok(text) = serde_json::to_string_pretty(&*self.state.borrow()) {
            let path = Path::new(layout::WATCH_STATE);
            let _ = machine::replace_file(path, text.as_bytes(), &Owner::root(), Mode(0o600));
        }
    }
}
