//! Parse, logging, dispatch, exit code. No logic.

use std::process::ExitCode;

use bootagent::cli::{self, Verb};
use bootagent::error::{Code, Error};
use bootagent::verbs;
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
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
        Err(error) => return ExitCode::from(verbs::told(&Error::new(Code::Bug, "starting", error))),
    };
    ExitCode::from(runtime.block_on(verbs::dispatch(cli.verb)))
}

/// Native fields to the journal where there is one. What people read goes to standard error by itself.
fn log() {
    let journal = tracing_journald::layer().ok().map(|layer| {
        layer.with_syslog_identifier("bootagent".to_owned()).with_field_prefix(Some("BOOTAGENT".to_owned()))
    });
    let ours = tracing_subscriber::filter::Targets::new().with_target("bootagent", tracing::Level::INFO);
    tracing_subscriber::registry().with(journal.with_filter(ours)).init();
}
