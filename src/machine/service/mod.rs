//! The service's unit: started, judged, migrated and drained, what is left of it, and what is recorded about it.

pub mod command;
pub mod crash;
pub mod drain;
pub mod ensure_running;
pub mod gate;
pub mod leftovers;
pub mod mark;
pub mod migrate;
pub mod observation;
pub mod operator;
pub mod present;
pub mod probe;
pub mod records;
pub mod retry;
pub mod start;
