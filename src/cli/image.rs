//! The arguments of `bake`, which become those of a run, and of `seal`. The `///` of a field is its text in the help.

use std::path::PathBuf;

use clap::Args;

use super::policy_flags::PolicyArgs;
use super::{Output, RunArgs, key_value};

#[derive(Debug, Args)]
pub struct BakeArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Read everything, change nothing, and show the plan
    #[arg(long)]
    dry_run: bool,
    /// Show unchanged steps, too, and details that another step shows already (dry run)
    #[arg(short, long, requires = "dry_run")]
    verbose: bool,
    /// How a dry run shows its plan
    #[arg(long, value_enum, default_value_t, requires = "dry_run")]
    output: Output,
    /// Show no progress: only errors, and how a run ended that failed
    #[arg(short, long)]
    quiet: bool,
    /// A tag, instead of the instance's own (dry run)
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = key_value, requires = "dry_run")]
    tags: Vec<(String, String)>,
    /// A recorded machine, instead of this one (dry run); see bootagent facts
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    facts: Option<PathBuf>,
    /// A policy, instead of /etc/bootagent (dry run)
    #[arg(long = "policy", value_name = "FILE", requires = "dry_run")]
    policy_file: Option<PathBuf>,
}

impl BakeArgs {
    pub fn run(self) -> RunArgs {
        RunArgs {
            bake: true,
            policy: self.policy,
            dry_run: self.dry_run,
            verbose: self.verbose,
            output: self.output,
            quiet: self.quiet,
            tags: self.tags,
            facts: self.facts,
            policy_file: self.policy_file,
            ..RunArgs::default()
        }
    }
}

#[derive(Debug, Args)]
pub struct SealArgs {
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Keep the keys that may log in to this machine (authorized_keys)
    #[arg(long)]
    pub keep_authorized_keys: bool,
    /// A file that may be in the image although it looks like a secret; may be given several times
    #[arg(long = "allow", value_name = "PATH")]
    pub allowed: Vec<PathBuf>,
}
