//! The arguments of the commands for a whole fleet: `why`, `fleet`, `rollout` and `iam-policy`. The `///` of a field is its text in
//! the help.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Output;
use crate::facts::CommitPrefix;
use crate::observe::{Flags, Fragment, Overrides};

/// What the commands have in common.
#[derive(Debug, Default, Args)]
pub struct FleetAt {
    /// The service [default: the policy's]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// The environment [default: the policy's]
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// The S3 prefix of the fleet memory, s3://BUCKET/PATH [default: fleet.prefix of the policy]
    #[arg(long = "fleet", value_name = "URL")]
    prefix: Option<String>,
    /// A policy, instead of /etc/bootagent
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl FleetAt {
    /// The flags of a command that changes nothing on this machine.
    pub fn flags(&self) -> Flags {
        let mut policy = Fragment {
            service: self.service.clone(),
            environment: self.environment.clone(),
            ..Fragment::default()
        };
        policy.fleet.prefix = self.prefix.clone();
        let overrides = Overrides { policy: self.policy.clone(), ..Overrides::default() };
        Flags { policy, overrides, dry_run: true, ..Flags::default() }
    }
}

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The instance's id; it may be terminated
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
    #[command(flatten)]
    pub at: FleetAt,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct FleetArgs {
    #[command(flatten)]
    pub at: FleetAt,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Whose permissions are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    #[default]
    Instance,
    Operator,
}

#[derive(Debug, Args)]
pub struct IamPolicyArgs {
    #[command(flatten)]
    at: FleetAt,
    /// The repository, with {service} and {environment} as placeholders [default: the policy's]
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// Name of the secret with the service's environment, if user-data names it
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Name of the secret with the git credential, if user-data names it
    #[arg(long, value_name = "NAME")]
    git_credential_secret: Option<String>,
    /// The service's manifest, for its env.from and its image in ECR
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The account's id [default: all]
    #[arg(long, value_name = "ID", default_value = "*", hide_default_value = true)]
    pub account: String,
    /// The region [default: all]
    #[arg(long, value_name = "REGION", default_value = "*", hide_default_value = true)]
    pub region: String,
    /// The Auto Scaling group's name [default: lifecycle.group of the policy, or all]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// For the role of an instance, or for an operator who uses why, fleet and rollout
    #[arg(long = "for", value_enum, default_value_t)]
    pub role: Role,
}

impl IamPolicyArgs {
    pub fn flags(&self) -> Flags {
        let mut flags = self.at.flags();
        flags.policy.repository = self.repository.clone();
        flags.policy.secret = self.secret.clone();
        flags.policy.git_credential = self.git_credential_secret.clone();
        flags
    }
}

#[derive(Debug, Args)]
pub struct RolloutArgs {
    #[command(flatten)]
    at: FleetAt,
    /// Roll out the commit before the present one
    #[arg(long, conflicts_with = "commit")]
    pub back: bool,
    /// A commit on the environment's branch, instead of its newest: its id, or at least 7 digits of it
    #[arg(long, value_name = "COMMIT", value_parser = |text: &str| CommitPrefix::try_from(text))]
    pub commit: Option<CommitPrefix>,
    /// The Auto Scaling group [default: lifecycle.group of the policy, or the one with the tags of service and environment]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// The repository, with {service} and {environment} as placeholders [default: the policy's]
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// Roll out without a question
    #[arg(long)]
    pub yes: bool,
    /// Show what would be rolled out where, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl RolloutArgs {
    pub fn flags(&self) -> Flags {
        let mut flags = self.at.flags();
        flags.policy.repository = self.repository.clone();
        flags
    }
}
