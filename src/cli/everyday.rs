//! The arguments of `update` and `rollback`, which become those of a run, and of `releases`, `hold` and `logs`. The
//! `///` of a field is its text in the help.

use clap::Args;

use super::policy_flags::{PolicyArgs, commit};
use super::{Output, RunArgs};
use crate::facts::CommitPrefix;

#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// A commit on the environment's branch, instead of its newest: its id, or at least 7 digits of it
    #[arg(long = "ref", value_name = "COMMIT", value_parser = commit)]
    commit: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Its id, or at least 7 digits of it [default: the previous healthy release]
    #[arg(value_name = "COMMIT", value_parser = |text: &str| CommitPrefix::try_from(text))]
    pub commit: Option<CommitPrefix>,
    #[command(flatten)]
    common: Common,
}

/// The flags that `update` and `rollback` have in common.
#[derive(Debug, Args)]
struct Common {
    /// Start a deployment again although it failed its health check in this boot
    #[arg(long)]
    again: bool,
    /// Exit with 4 instead of 0 if the service is healthy but the clean-up failed
    #[arg(long, conflicts_with = "dry_run")]
    strict: bool,
    /// Read everything, change nothing, and show the plan
    #[arg(long)]
    dry_run: bool,
    /// Show no progress: only errors, and how a run ended that failed
    #[arg(short, long)]
    quiet: bool,
    /// How a dry run shows its plan
    #[arg(long, value_enum, default_value_t, requires = "dry_run")]
    output: Output,
}

impl Common {
    fn run(&self, commit: Option<String>) -> RunArgs {
        RunArgs {
            update: true,
            policy: PolicyArgs { commit, ..PolicyArgs::default() },
            again: self.again,
            strict: self.strict,
            dry_run: self.dry_run,
            quiet: self.quiet,
            output: self.output,
            ..RunArgs::default()
        }
    }
}

impl UpdateArgs {
    pub fn run(&self) -> RunArgs {
        self.common.run(self.commit.clone())
    }
}

impl RollbackArgs {
    pub fn is_dry_run(&self) -> bool {
        self.common.dry_run
    }

    pub fn run(&self, commit: &CommitPrefix) -> RunArgs {
        RunArgs { back: true, ..self.common.run(Some(commit.to_string())) }
    }
}

#[derive(Debug, Args)]
pub struct ReleasesArgs {
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct HoldArgs {
    /// Why the machine is held: shown by runs and by bootagent status
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Only the lines of this process or timer of the manifest ([processes.NAME], [timers.NAME])
    #[arg(long, value_name = "NAME")]
    pub process: Option<String>,
    /// Show new lines as they are logged
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines to show, the last ones
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100)]
    pub lines: u32,
}
