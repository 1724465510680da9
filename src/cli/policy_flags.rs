//! The flags that are keys of the policy, for `run` and for the user-data that runs it. The `///` of a field is its text in
//! the help.

use clap::Args;

use crate::facts::CommitPrefix;
use crate::observe::Fragment;
use crate::plan::Seconds;

#[derive(Debug, Default, Args)]
pub struct PolicyArgs {
    /// The repository, with {service} and {environment} as placeholders; with --dry-run also the directory of a clone
    #[arg(long, value_name = "URL")]
    pub(super) repository: Option<String>,
    /// Name of the secret that holds the git credential (a token, a private key, or JSON: see docs)
    #[arg(long, value_name = "NAME")]
    pub(super) git_credential_secret: Option<String>,
    /// Name of the secret with the service's environment [default: service_env_{service}_{environment}]
    #[arg(long, value_name = "NAME")]
    pub(super) secret: Option<String>,
    /// The service, instead of the tag bootagent:service
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// The services that may be selected, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) services: Option<Vec<String>>,
    /// The environment, instead of the tag bootagent:environment
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<String>,
    /// A commit on the environment's branch, instead of its newest: its id, or at least 7 digits of it
    #[arg(long = "ref", value_name = "COMMIT", value_parser = commit)]
    pub(super) commit: Option<String>,
    /// How long to wait for IMDS, and for tags and credentials that are not yet propagated [default: 120s]
    #[arg(long, value_name = "TIME")]
    pub(super) imds_wait: Option<Seconds>,
    /// How long the whole run may take [default: 15m]
    #[arg(long, value_name = "TIME")]
    pub(super) budget: Option<Seconds>,
}

pub fn commit(text: &str) -> Result<String, String> {
    CommitPrefix::try_from(text).map(String::from).map_err(|error| error.to_string())
}

impl PolicyArgs {
    /// The layer of the policy that these flags are.
    pub fn fragment(&self) -> Fragment {
        let mut policy = Fragment {
            repository: self.repository.clone(),
            git_credential: self.git_credential_secret.clone(),
            secret: self.secret.clone(),
            service: self.service.clone(),
            services: self.services.clone(),
            environment: self.environment.clone(),
            commit: self.commit.clone(),
            budget: self.budget,
            ..Fragment::default()
        };
        policy.imds.wait = self.imds_wait;
        policy
    }

    /// The same flags again, as arguments.
    pub fn words(&self) -> Vec<String> {
        let services = self.services.as_ref().map(|names| names.join(","));
        let seconds = |time: Option<Seconds>| time.map(|time| format!("{}s", time.0));
        let flags = [
            ("--repository", self.repository.clone()),
            ("--services", services),
            ("--service", self.service.clone()),
            ("--environment", self.environment.clone()),
            ("--ref", self.commit.clone()),
            ("--secret", self.secret.clone()),
            ("--git-credential-secret", self.git_credential_secret.clone()),
            ("--imds-wait", seconds(self.imds_wait)),
            ("--budget", seconds(self.budget)),
        ];
        let given = flags.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?]));
        given.flatten().collect()
    }
}
