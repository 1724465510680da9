//! The verbs and flags. The only room that reads arguments and the environment.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::error::{Code, Error, Result};
use crate::observe::{Flags, Fragment, StandIns};
use crate::plan::Seconds;

const AFTER_HELP: &str = "\
User-data, complete for a public repository:
  #!/bin/sh
  exec bootagent run --repository 'https://github.com/acme/{service}.git'

On a laptop, without AWS:
  bootagent --dry-run --service auth-service --environment prod --repository . --env-file .env

Exit status of run: 0 in service, 1 failed, 4 degraded (with --strict), 64 usage, 70 bug,
75 surroundings failed or another run is active, 77 refused by policy, 78 policy, tags, manifest,
lockfile or secret invalid.";

/// Brings this instance's service into service: from two tags to healthy, or a named failure.
#[derive(Debug, Parser)]
#[command(name = "bootagent", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Bring the service into service, and do so at every boot from now on
    Run(Box<RunArgs>),
    /// Say how the last run went, and probe the service again
    Status(StatusArgs),
    /// Check a service's repository offline, for its own CI
    Validate(ValidateArgs),
    /// What becomes of a secret's keys on their way to the service
    Env(EnvArgs),
    /// Print what this machine is, for --facts
    Facts(FactsArgs),
    /// A child of ours; not for people
    #[command(name = "__child", hide = true)]
    Child(ChildArgs),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Show what would be done, after the real reads, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How a dry run shows its plan
    #[arg(long, value_enum, default_value_t, requires = "dry_run")]
    pub output: Output,
    /// The repository, with {service} and {environment} as placeholders; with --dry-run also a repository's own directory
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// Name of the secret that holds the git credential (a token, a private key, or JSON: see docs)
    #[arg(long, value_name = "NAME")]
    git_credential_secret: Option<String>,
    /// Name of the secret with the service's environment [default: service_env_{service}_{environment}]
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// The service, instead of the tag bootagent:service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The environment, instead of the tag bootagent:environment
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// A commit on the environment's branch, instead of its newest
    #[arg(long = "ref", value_name = "COMMIT")]
    commit: Option<String>,
    /// Take the branch's newest commit, not the one decided at this instance's first boot
    #[arg(long)]
    update: bool,
    /// Drop the flags that earlier runs of this instance recorded: the policy and this run's flags count
    #[arg(long)]
    forget_flags: bool,
    /// Try a deployment once more that failed its health check in this boot already
    #[arg(long, conflicts_with = "dry_run")]
    again: bool,
    /// How long to wait for metadata, late tags and late credentials [default: 120s]
    #[arg(long, value_name = "TIME")]
    imds_wait: Option<Seconds>,
    /// How long the whole run may take [default: 15m]
    #[arg(long, value_name = "TIME")]
    budget: Option<Seconds>,
    /// Degraded (it serves, but tidying failed) is exit status 4, not 0
    #[arg(long, conflicts_with = "dry_run")]
    pub strict: bool,
    /// As bootagent.service does: without any policy there is nothing to do yet, and that is no failure
    #[arg(long, hide = true, conflicts_with = "dry_run")]
    pub at_boot: bool,
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
    /// A policy, instead of what stands in /etc/bootagent (dry run)
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Wait until the run has ended
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "15m", requires = "wait")]
    pub timeout: Seconds,
    /// Degraded (it serves, but tidying failed) is exit status 4, not 0
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The repository's directory
    #[arg(default_value = ".")]
    pub path: PathBuf,
}

#[derive(Debug, Args)]
pub struct EnvArgs {
    #[command(subcommand)]
    pub verb: EnvVerb,
}

#[derive(Debug, Subcommand)]
pub enum EnvVerb {
    /// Say which keys arrive unchanged, by which reader, and why others don't; never a value
    Check(EnvCheckArgs),
}

#[derive(Debug, Args)]
pub struct EnvCheckArgs {
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// A secret by its name, instead of this instance's service's
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// A secret's text, instead of Secrets Manager
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    pub env_file: Option<PathBuf>,
    /// The service's manifest: env.allow and env.file count
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// A policy, instead of what stands in /etc/bootagent
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FactsArgs {
    /// Without the instance and its tags
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
        let repository = self.repository.clone();
        if repository.as_deref().is_some_and(|at| !Fragment::is_address(at)) && !self.dry_run {
            return Err(Error::new(Code::Usage, "reading --repository", "a directory is for dry runs only")
                .remedy("give a URL, or add --dry-run"));
        }
        let mut policy = Fragment {
            repository,
            git_credential: self.git_credential_secret.clone(),
            secret: self.secret.clone(),
            service: self.service.clone(),
            environment: self.environment.clone(),
            commit: self.commit.clone(),
            budget: self.budget,
            ..Fragment::default()
        };
        policy.imds.wait = self.imds_wait;
        let tags: BTreeMap<_, _> = self.tags.iter().cloned().collect();
        let stand_ins = StandIns {
            tags,
            manifest: self.manifest.clone(),
            env_file: self.env_file.clone(),
            facts: self.facts.clone(),
            policy: self.policy.clone(),
        };
        Ok(Flags {
            policy,
            stand_ins,
            dry_run: self.dry_run,
            update: self.update,
            forget: self.forget_flags,
            again: self.again,
            at_boot: self.at_boot,
        })
    }
}

impl EnvCheckArgs {
    pub fn flags(&self) -> Flags {
        let stand_ins =
            StandIns { manifest: self.manifest.clone(), policy: self.policy.clone(), ..StandIns::default() };
        Flags { stand_ins, dry_run: true, ..Flags::default() }
    }
}

/// Parses this process's arguments. Help and version are printed here: then the exit status returns.
pub fn parse() -> Result<Cli, u8> {
    parsed(std::env::args_os())
}

/// `--dry-run` and its like alone mean `run`.
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
        let hint = format!("flags need a verb: did you mean bootagent run {first}?");
        arguments.insert(1, "run".into());
        // What run does not take either is told in clap's words: they know which flag was meant.
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

/// Whether our standard error is the journal itself. The variable alone says little: children of a
/// unit inherit it when their output has long gone elsewhere (cloud-init's log, for one).
pub fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(std::io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Whether our standard error is a terminal on which a line can be rewritten, and somebody wants that.
pub fn stderr_is_a_living_terminal() -> bool {
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    std::io::stderr().is_terminal()
        && said("NO_COLOR").is_none()
        && said("TERM").is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, u8> {
        super::parsed(std::iter::once("bootagent").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn dry_run_alone_means_run() {
        for line in ["--dry-run", "--dry-run --service a", "--service a --dry-run", "run --dry-run"] {
            assert!(matches!(parsed(line), Ok(Cli { verb: Verb::Run(args) }) if args.dry_run), "{line}");
        }
    }

    #[test]
    fn stand_ins_are_for_dry_runs_only() {
        for line in [
            "run --env-file x",
            "run --tag a=b",
            "run --facts x",
            "run --manifest x",
            "run --policy x",
            "--service a",
            "--dryrun",
            "run --output json",
            "nonsense",
        ] {
            assert_eq!(parsed(line).err(), Some(64), "{line}");
        }
        let Ok(Cli { verb: Verb::Run(args) }) = parsed("run --repository ./here") else {
            panic!("not a run")
        };
        assert_eq!(args.flags().unwrap_err().code(), Code::Usage);
    }

    #[test]
    fn times_have_units() {
        let Ok(Cli { verb: Verb::Run(args) }) = parsed("run --budget 2m --imds-wait 10") else {
            panic!("not a run")
        };
        assert_eq!((args.budget, args.imds_wait), (Some(Seconds(120)), Some(Seconds(10))));
        assert_eq!(parsed("run --budget soon").err(), Some(64));
    }
}
