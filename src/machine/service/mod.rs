//! The service's unit: starts, reloads and drains it, checks its health, runs migrations, and reads what is recorded
//! about it. Also the operator's hold, later tries of a failed run, and what killed runs left.

pub mod accept;
pub mod command;
mod container;
pub mod crash;
pub mod data_host;
pub mod drain;
pub mod ensure_running;
pub mod gate;
pub mod hooks;
pub mod leftovers;
pub mod listened;
pub mod mark;
pub mod migrate;
pub mod notes;
pub mod observation;
pub mod observed;
pub mod operator;
pub mod own_port;
pub mod port;
pub mod present;
pub mod probe;
mod process_unit;
mod protocol;
pub mod proxy;
pub mod reach;
pub mod records;
pub mod refresh;
mod request;
pub mod retry;
pub mod start;
pub mod workers;
