//! One file per command of the command line. Each prints its result and returns its exit status.

mod about;
mod env;
mod explain;
mod facts;
mod fleet;
mod hold;
mod iam_policy;
mod init;
mod inspect;
mod logs;
mod releases;
mod rollback;
mod rollout;
mod run;
mod seal;
mod status;
mod user_data;
mod validate;
mod watch;
mod why;

use std::process::ExitCode;

use crate::cli::{ChildArgs, Verb};
use crate::error::{Code, Error, Result};
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
        Verb::Validate(args) => validate::validate(&args),
        Verb::Init(args) => init::init(&args),
        Verb::UserData(args) => user_data::user_data(&args),
        Verb::Bake(args) => run::run_or_show(&args.run()).await,
        Verb::Seal(args) => seal::seal(&args).await,
        Verb::Env(args) => Box::pin(env::env(&args)).await,
        Verb::Facts(args) => facts::facts(&args).await,
        Verb::Why(args) => Box::pin(why::why(&args)).await,
        Verb::Fleet(args) => Box::pin(fleet::fleet(&args)).await,
        Verb::Rollout(args) => rollout::rollout(&args).await,
        Verb::IamPolicy(args) => iam_policy::iam_policy(&args).await,
        Verb::Watch => watch::watch().await,
        Verb::Explain(args) => explain::explain(&args),
        Verb::Completions(args) => about::completions(&args),
        Verb::Man => about::manual(),
        Verb::Child(_) => Code::Bug.exit() as u8,
    }
}

/// `E-NOT-ROOT` unless root runs the command.
fn root_only(machine: &impl Observe, doing: &str, remedy: &str) -> Result<()> {
    match machine.is_root() {
        true => Ok(()),
        false => Err(Error::new(Code::NotRoot, doing, "only root may do this").remedy(remedy)),
    }
}

/// Prints an error that is not in the status file to standard error. Returns its exit status.
fn print_error(error: &Error) -> u8 {
    tell(error.in_public());
    error.exit() as u8
}

/// Every command and every child process calls this first.
pub fn forbid_core_dumps() -> Result<(), ExitCode> {
    machine::forbid_core_dumps().map_err(|error| ExitCode::from(print_error(&error)))
}

/// The async runtime cannot be created.
pub fn cannot_start(error: std::io::Error) -> ExitCode {
    ExitCode::from(print_error(&Error::new(Code::Bug, "starting", error)))
}

/// `bootagent __child`: a child process of bootagent.
pub fn child(args: &ChildArgs) -> ExitCode {
    machine::child(&args.role, &args.argv, |error| tell(error.in_public()))
}
