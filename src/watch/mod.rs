//! `bootagent watch`: attends to what happens to a machine that serves, until it is told to end. Four tasks in one thread:
//! the instance's end, new versions of secrets, the service's health, and what is left of disks and memory.
//!
//! It decides nothing about deployments: for new values it starts a run, which judges them.

mod drain;
mod health;
mod leaving;
mod log;
mod room;
mod secrets;

use std::time::Duration;

use crate::machine::{self, Attend};
use crate::plan::Watch;
use log::Log;

/// Watches until a signal ends it.
pub async fn watch(machine: &impl Attend, watch: &Watch) {
    let log = Log::new();
    let all = async {
        tokio::join!(
            drain::attend(machine, watch, &log),
            secrets::attend(machine, watch, &log),
            health::attend(machine, watch, &log),
            room::attend(machine, watch, &log),
        )
    };
    tokio::select! {
        signal = machine::shutdown_signal() => log.say(format!("{signal}: no longer watching {}", watch.unit)),
        _ = all => {}
    }
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
