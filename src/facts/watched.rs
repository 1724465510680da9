//! What the watcher has seen since it started. It writes this, and `bootagent status` reads it. Plain data.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// When it started, in seconds since 1970.
    pub since: u64,
    /// What is scarce now.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The last events, the newest last.
    #[serde(default)]
    pub events: Vec<WatchedEvent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedEvent {
    /// In seconds since 1970.
    pub at: u64,
    pub text: String,
}
