//! What a run did, and when: one span for each read and step. `bootagent status --timings` shows them.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::machine;

/// A run with more keeps the first ones.
const MOST: usize = 400;

/// The spans of a run, in the order of their ends. Times are seconds of the kernel's monotonic clock, to milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// When bootagent began.
    pub began: f64,
    pub spans: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// A step's id, or what was read: `machine`, `metadata`, `tags`, `fetch`, `secret`.
    pub id: String,
    pub began: f64,
    pub seconds: f64,
}

impl Timeline {
    pub fn begin() -> Self {
        Timeline { began: rounded(machine::monotonic()), spans: Vec::new() }
    }

    /// Adds work that ends now.
    pub fn add(&mut self, id: String, since: Instant) {
        if self.spans.len() < MOST {
            let seconds = since.elapsed().as_secs_f64();
            let began = rounded(machine::monotonic() - seconds);
            self.spans.push(Span { id, began, seconds: rounded(seconds) });
        }
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
