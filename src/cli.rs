//! The commands and flags. The only module that may read arguments, environment variables and the terminal. The `///`
//! of a field is its text in the help.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::error::{Code, Error, Result};
use crate::observe::{Flags, Fragment, Overrides};
use crate::plan::Seconds;

mod about;
mod everyday;
mod fleet;
mod help;
mod image;
mod manual;
mod offline;
mod policy_flags;
mod user_data;

pub use about::{CompletionsArgs, ExplainArgs, Shell, completions};
pub use everyday::{HoldArgs, LogsArgs, ReleasesArgs, RollbackArgs, UpdateArgs};
pub use fleet::{FleetArgs, IamPolicyArgs, Role, RolloutArgs, WhyArgs};
pub use image::{BakeArgs, SealArgs};
pub use manual::manual;
pub use offline::{InitArgs, ValidateArgs};
use policy_flags::PolicyArgs;
pub use user_data::{Download, UserDataArgs};

/// A release has its commit, too: `packaging/release` sets the variable.
pub const VERSION: &str = match option_env!("BOOTAGENT_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Deploys this instance's service and waits until it is healthy
#[derive(Debug, Parser)]
#[command(name = "bootagent", version = VERSION, after_help = help::WHOLE, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Deploy the service and wait until it is healthy; from now on every boot does so
    #[command(after_help = format!("{}\n\n{}", help::RUN, help::EXITS_OF_RUN))]
    Run(Box<RunArgs>),
    /// Deploy the branch's newest commit, or the one that is named (run --update)
    #[command(after_help = format!("{}\n\n{}", help::UPDATE, help::EXITS_OF_RUN))]
    Update(UpdateArgs),
    /// Go back to the previous healthy release, or to a commit
    #[command(after_help = format!("{}\n\n{}", help::ROLLBACK, help::EXITS_OF_RUN))]
    Rollback(RollbackArgs),
    /// List the releases on this machine: which one serves, which are kept, which failed
    #[command(after_help = help::RELEASES)]
    Releases(ReleasesArgs),
    /// Show what serves and how the last run ended, and probe the service
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Show the journal of the service and of bootagent, with the values of its environment hidden
    #[command(after_help = help::LOGS)]
    Logs(LogsArgs),
    /// Let no run change this machine, not even at a boot
    #[command(after_help = help::HOLD)]
    Hold(HoldArgs),
    /// End a hold
    #[command(after_help = help::UNHOLD)]
    Unhold,
    /// Show what a boot would do with a working tree, and what is unusual about it; offline, also for CI
    #[command(after_help = help::VALIDATE)]
    Validate(ValidateArgs),
    /// Write a first bootagent.toml for a working tree, with what conventions choose as comments
    #[command(after_help = help::INIT)]
    Init(InitArgs),
    /// Print user-data that downloads this program, verifies it and runs it
    #[command(after_help = help::USER_DATA)]
    UserData(Box<UserDataArgs>),
    /// Build the service's release on the builder of an image, start nothing, and enable bootagent for every boot
    #[command(after_help = help::BAKE)]
    Bake(Box<BakeArgs>),
    /// Remove what belongs to this machine alone, so that an image can be made of it
    #[command(after_help = help::SEAL)]
    Seal(SealArgs),
    /// Check which keys of a secret reach the service
    Env(EnvArgs),
    /// Record this machine as JSON, for --facts
    #[command(after_help = help::FACTS)]
    Facts(FactsArgs),
    /// Show why an instance failed, from its report in the fleet memory; also of a terminated one
    #[command(after_help = help::WHY)]
    Why(WhyArgs),
    /// List the instances of a service, from their reports in the fleet memory
    #[command(after_help = help::FLEET)]
    Fleet(FleetArgs),
    /// Pin a commit for a service, replace the instances of its Auto Scaling group, and go back if that fails
    #[command(after_help = help::ROLLOUT)]
    Rollout(RolloutArgs),
    /// Print the least that the role of an instance needs, as an IAM policy; offline
    #[command(after_help = help::IAM_POLICY)]
    IamPolicy(IamPolicyArgs),
    /// Watch over the service until told to end; bootagent-watch.service runs it
    #[command(hide = true)]
    Watch,
    /// Say what an error code means, and what to do
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Print the script that completes this program's command line in a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = help::MAN)]
    Man,
    /// Internal: a child process of bootagent
    #[command(name = "__child", hide = true)]
    Child(ChildArgs),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Read everything, change nothing, and show the plan
    #[arg(long)]
    pub dry_run: bool,
    /// Show unchanged steps, too, and details that another step shows already (dry run)
    #[arg(short, long, requires = "dry_run")]
    pub verbose: bool,
    /// Exit with 2 if a run would change something, and with 0 if not (dry run)
    #[arg(long, requires = "dry_run")]
    pub detailed_exitcode: bool,
    /// How a dry run shows its plan
    #[arg(long, value_enum, default_value_t, requires = "dry_run")]
    pub output: Output,
    /// Show no progress: only errors, and how a run ended that failed
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Choose service, environment and commit again, from flags, policy, tags and the branch
    #[arg(long)]
    update: bool,
    /// Start a deployment again although it failed its health check in this boot
    #[arg(long)]
    again: bool,
    /// Drop the flags that earlier runs recorded, and record this run's
    #[arg(long)]
    forget_flags: bool,
    /// Exit with 4 instead of 0 if the service is healthy but the clean-up failed
    #[arg(long, conflicts_with = "dry_run")]
    pub strict: bool,
    /// Set by bootagent.service: a machine without a policy has nothing to deploy yet, which is not a failure
    #[arg(long, hide = true, conflicts_with = "dry_run")]
    pub at_boot: bool,
    /// Set by `bootagent rollback`
    #[arg(skip)]
    back: bool,
    /// Set by `bootagent bake`
    #[arg(skip)]
    bake: bool,
    /// A tag, instead of the instance's own (dry run)
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = key_value, requires = "dry_run")]
    tags: Vec<(String, String)>,
    /// A manifest, instead of the repository's (dry run)
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    manifest: Option<PathBuf>,
    /// The secret's text, instead of Secrets Manager (dry run)
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    env_file: Option<PathBuf>,
    /// A recorded machine, instead of this one (dry run); see bootagent facts
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    facts: Option<PathBuf>,
    /// A policy, instead of /etc/bootagent (dry run)
    #[arg(long = "policy", value_name = "FILE", requires = "dry_run")]
    policy_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Wait until the run has ended
    #[arg(long)]
    pub wait: bool,
    /// The longest time to wait
    #[arg(long, value_name = "TIME", default_value = "15m", requires = "wait")]
    pub timeout: Seconds,
    /// Exit with 4 instead of 0 if the service is healthy but the clean-up failed
    #[arg(long)]
    pub strict: bool,
    /// Read from the git server whether the branch has a newer commit; takes up to 30 seconds
    #[arg(long)]
    pub remote: bool,
    /// Show when each read and step of the last run began and how long it took, from the start of the kernel on
    #[arg(long, conflicts_with_all = ["output", "steps"])]
    pub timings: bool,
    /// Print these times as a picture (SVG)
    #[arg(long, requires = "timings")]
    pub svg: bool,
    /// Show the steps of the last run, and the last output of a program that failed
    #[arg(long)]
    pub steps: bool,
}

#[derive(Debug, Args)]
pub struct EnvArgs {
    #[command(subcommand)]
    pub verb: EnvVerb,
}

#[derive(Debug, Subcommand)]
pub enum EnvVerb {
    /// Show which keys reach the service, and why others do not; shows no values
    #[command(after_help = help::ENV_CHECK)]
    Check(EnvCheckArgs),
}

#[derive(Debug, Args)]
pub struct EnvCheckArgs {
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Name of a secret, instead of the one of this instance's service
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// A secret's text, instead of Secrets Manager
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    pub env_file: Option<PathBuf>,
    /// The service's manifest, for its env.allow and env.file
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// A policy, instead of /etc/bootagent
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FactsArgs {
    /// Leave out the instance and its tags
    #[arg(long)]
    pub local: bool,
}

#[derive(Debug, Args)]
pub struct ChildArgs {
    pub role: String,
    #[arg(last = true)]
    pub argv: Vec<String>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "it has no '=': write --tag bootagent:service=auth-service".to_owned())
}

impl RunArgs {
    pub fn flags(&self) -> Result<Flags> {
        let policy = self.policy.fragment();
        if policy.repository.as_deref().is_some_and(|at| !Fragment::is_address(at)) && !self.dry_run {
            return Err(Error::new(Code::Usage, "reading --repository", "a directory is for dry runs only")
                .remedy("give a URL, or add --dry-run"));
        }
        let tags: BTreeMap<_, _> = self.tags.iter().cloned().collect();
        let overrides = Overrides {
            tags,
            manifest: self.manifest.clone(),
            env_file: self.env_file.clone(),
            facts: self.facts.clone(),
            policy: self.policy_file.clone(),
        };
        Ok(Flags {
            policy,
            overrides,
            dry_run: self.dry_run,
            update: self.update,
            forget: self.forget_flags,
            again: self.again,
            at_boot: self.at_boot,
            back: self.back,
            bake: self.bake,
        })
    }
}

impl EnvCheckArgs {
    pub fn flags(&self) -> Flags {
        let overrides = Overrides {
            manifest: self.manifest.clone(),
            policy: self.policy.clone(),
            ..Overrides::default()
        };
        Flags { overrides, dry_run: true, ..Flags::default() }
    }
}

/// Parses the arguments. `Err` is an exit status, after help, version or a usage error has been printed.
pub fn parse() -> Result<Cli, u8> {
    parsed(std::env::args_os())
}

/// `bootagent --dry-run ...` means `bootagent run --dry-run ...`.
fn parsed(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, u8> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.len() < 2 {
        let _ = Cli::command().print_help();
        return Err(0);
    }
    let first = arguments[1].to_string_lossy();
    let is_run = first.starts_with("--") && !matches!(first.as_ref(), "--help" | "--version");
    if is_run {
        let asked = arguments.iter().any(|argument| argument == "--dry-run");
        let hint = format!("flags need a command: did you mean bootagent run {first}?");
        arguments.insert(1, "run".into());
        // For flags that `run` does not have either, clap's own error is better: it suggests the most similar flag.
        if !asked && Cli::try_parse_from(&arguments).is_ok() {
            let _ = Cli::command().error(ErrorKind::MissingSubcommand, hint).print();
            return Err(Code::Usage.exit() as u8);
        }
    }
    Cli::try_parse_from(arguments).map_err(|error| {
        let _ = error.print();
        if error.use_stderr() { Code::Usage.exit() as u8 } else { 0 }
    })
}

/// Asks the operator for yes or no on the terminal; `None` without a terminal, or without an answer.
pub fn ask(question: &str) -> Option<bool> {
    use std::io::Write;
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let mut told = std::io::stderr();
    write!(told, "{question} [y/n] ").and_then(|()| told.flush()).ok()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

/// Whether standard error is connected to the journal. `JOURNAL_STREAM` is not enough: a process inherits the variable
/// even if its output goes elsewhere, for example to cloud-init's log. So its device and inode are compared.
pub fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(std::io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Whether standard error is a terminal on which a line can be rewritten, and neither `NO_COLOR` nor `TERM=dumb` is
/// set.
pub fn stderr_can_rewrite_lines() -> bool {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    std::io::stderr().is_terminal()
        && variable("NO_COLOR").is_none()
        && variable("TERM").is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests;
