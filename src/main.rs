//! Parse, logging, dispatch, exit code. No logic.

// What only the door may do (.clippy.toml); and a closed reader must not end a run, as println! would.
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, clippy::print_stderr)
)]

use std::process::ExitCode;

use bootagent::cli::{self, Verb};
use bootagent::verbs;
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    // Before the arguments: a flag, too, could crash a parser.
    if let Err(status) = verbs::forbid_core_dumps() {
        return status;
    }
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(status) => return ExitCode::from(status),
    };
    if let Verb::Child(child) = &cli.verb {
        return verbs::child(child);
    }
    log();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return verbs::cannot_start(error),
    };
    let status = runtime.block_on(verbs::dispatch(cli.verb));
    // What runs in another thread cannot be cancelled, and a run that was told to stop must not wait for it.
    runtime.shutdown_background();
    ExitCode::from(status)
}

/// Native fields to the journal where there is one. What people read goes to standard error by itself.
fn log() {
    let journal = tracing_journald::layer().ok().map(|layer| {
        layer.with_syslog_identifier("bootagent".to_owned()).with_field_prefix(Some("BOOTAGENT".to_owned()))
    });
    let ours = tracing_subscriber::filter::Targets::new().with_target("bootagent", tracing::Level::INFO);
    tracing_subscriber::registry().with(journal.with_filter(ours)).init();
}
