//! One file per verb. Each returns its exit status.

mod env;
mod facts;
mod run;
mod status;
mod validate;

use std::process::ExitCode;

use crate::cli::{ChildArgs, Verb};
use crate::error::{Code, Error};
use crate::machine;
use crate::machine::sandbox::{Role, child as child_process, drain, guard, imds_proof};
use crate::report::tell;

pub async fn dispatch(verb: Verb) -> u8 {
    match verb {
        // Boxed: the largest futures of the program, and the compiler counts how deep they nest.
        Verb::Run(args) if args.dry_run => Box::pin(run::dry_run(&args)).await,
        Verb::Run(args) => Box::pin(run::run(&args)).await,
        Verb::Status(args) => Box::pin(status::status(&args)).await,
        Verb::Validate(args) => validate::validate(&args).await,
        Verb::Env(args) => Box::pin(env::env(&args)).await,
        Verb::Facts(args) => facts::facts(&args).await,
        Verb::Child(_) => Code::Bug.exit() as u8,
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
