//! The program: parses the arguments, sets logging up, dispatches the command and returns its exit status. No logic.

// .clippy.toml lists what only src/machine and src/cli.rs may call. println! is denied because it panics, and so ends a
// run, when the reader of the pipe has gone.
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, clippy::print_stderr)
)]

use std::process::ExitCode;

use bootagent::cli::{self, Verb};
use bootagent::verbs;
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    // Before the arguments are parsed: a URL in them may contain a password, and the parser could crash on it.
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
    // Do not wait for blocking threads: they cannot be cancelled, and a run that received SIGTERM must end now.
    runtime.shutdown_background();
    ExitCode::from(status)
}

/// Logs to the journal, if there is one, with structured fields. Text for people is written to standard error
/// elsewhere.
fn log() {
    let journal = tracing_journald::layer().ok().map(|layer| {
        layer.with_syslog_identifier("bootagent".to_owned()).with_field_prefix(Some("BOOTAGENT".to_owned()))
    });
    let ours = tracing_subscriber::filter::Targets::new().with_target("bootagent", tracing::Level::INFO);
    tracing_subscriber::registry().with(journal.with_filter(ours)).init();
}
