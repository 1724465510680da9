//! One file per verb. Each returns its exit status.

mod env;
mod facts;
mod hold;
mod logs;
mod releases;
mod rollback;
mod run;
mod status;
mod validate;

use std::process::ExitCode;

use crate::cli::{ChildArgs, Verb};
use crate::error::{Code, Error, Result};
use crate::machine::jail::child::Role;
use crate::machine::jail::{child as child_process, guard, imds_proof};
use crate::machine::service::drain;
use crate::machine::{self, Observe};
use crate::report::tell;

pub async fn dispatch(verb: Verb) -> u8 {
    match verb {
        Verb::Run(args) => run::run_or_show(&args).await,
        Verb::Update(args) => run::run_or_show(&args.run()).await,
        Verb::Rollback(args) => Box::pin(rollback::rollback(&args)).await,
        Verb::Releases(args) => releases::releases(&args).await,
        Verb::Logs(args) => logs::logs(&args).await,
        Verb::Hold(args) => hold::hold(&args),
        Verb::Unhold => hold::unhold(),
        Verb::Status(args) => Box::pin(status::status(&args)).await,
        Verb::Validate(args) => validate::validate(&args).await,
        Verb::Env(args) => Box::pin(env::env(&args)).await,
        Verb::Facts(args) => facts::facts(&args).await,
        Verb::Child(_) => Code::Bug.exit() as u8,
    }
}

/// Refuses who may not see, or change, what is root's.
fn root_only(machine: &impl Observe, doing: &str, remedy: &str) -> Result<()> {
    match machine.is_root() {
        true => Ok(()),
        false => Err(Error::new(Code::NotRoot, doing, "only root may").remedy(remedy)),
    }
}

/// A failure that no status file tells: on standard error.
fn told(error: &Error) -> u8 {
    tell(error.in_public());
    error.exit() as u8
}

/// What every verb and every child of ours begins with.
pub fn forbid_core_dumps() -> Result<(), ExitCode> {
    machine::forbid_core_dumps().map_err(|error| ExitCode::from(told(&error)))
}

/// There is not even a runtime.
pub fn cannot_start(error: std::io::Error) -> ExitCode {
    ExitCode::from(told(&Error::new(Code::Bug, "starting", error)))
}

/// A child of ours, in whatever jail its parent chose. It needs neither log nor runtime.
pub fn child(args: &ChildArgs) -> ExitCode {
    match (args.role.as_str(), Role::named(&args.role)) {
        (_, Some(role)) => child_process::main(role),
        (role @ (guard::GUARD | guard::BESIDE | imds_proof::PROOF), None) => {
            let ended = match role {
                guard::GUARD => guard::guard(&args.argv),
                guard::BESIDE => guard::run(&args.argv),
                _ => imds_proof::prove_no_imds().map(|()| 0),
            };
            let status = ended.unwrap_or_else(|error| {
                tell(error.in_public());
                if error.code() == Code::ImdsAnswers { imds_proof::IMDS_ANSWERS } else { 127 }
            });
            ExitCode::from(status as u8)
        }
        (drain::DRAIN, None) => {
            drain::drain();
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(Code::Usage.exit() as u8),
    }
}
