//! What may be, as root-owned files and user-data's flags say it. Convention fills the rest.
//!
//! A policy is made of fragments, later ones over earlier ones: the defaults, /etc/bootagent/policy.toml,
//! the flags that this instance's first run recorded, and the flags of this run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::facts::{Branch, Environment, Service};
use crate::machine::Observe;
use crate::observe::given::given;
use crate::plan::{Seconds, Setting, layout};

/// The origin of what this run was told on its command line.
pub const FLAG: &str = "flag";
pub const POLICY: &str = "/etc/bootagent/policy.toml";

/// The policy as it is written, in a file or in flags. Every key is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fragment {
    pub repository: Option<String>,
    pub git_credential: Option<String>,
    pub secret: Option<String>,
    pub service: Option<String>,
    pub environment: Option<String>,
    #[serde(rename = "ref")]
    pub commit: Option<String>,
    pub services: Option<Vec<String>>,
    pub budget: Option<Seconds>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    #[serde(default, skip_serializing_if = "Imds::is_empty")]
    pub imds: Imds,
}

/// Which tag keys say what, for fleets that have their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tags {
    pub service: Option<String>,
    pub environment: Option<String>,
    #[serde(rename = "ref")]
    pub commit: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Imds {
    /// How long to wait for it, for late tags and for late credentials.
    pub wait: Option<Seconds>,
    /// Whether the service may use it.
    pub service: Option<bool>,
}

impl Tags {
    fn is_empty(&self) -> bool {
        *self == Tags::default()
    }
}

impl Imds {
    fn is_empty(&self) -> bool {
        *self == Imds::default()
    }
}

/// What this run was told on its command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub policy: Fragment,
    pub stand_ins: StandIns,
    pub dry_run: bool,
    /// Take a new commit instead of the one decided for this instance.
    pub update: bool,
}

/// What stands in for the instance on a laptop. Dry runs only.
#[derive(Clone, Debug, Default)]
pub struct StandIns {
    pub tags: BTreeMap<String, String>,
    pub manifest: Option<PathBuf>,
    pub env_file: Option<PathBuf>,
    pub facts: Option<PathBuf>,
    pub policy: Option<PathBuf>,
}

impl StandIns {
    /// The first of them, by the name of its flag.
    pub fn any(&self) -> Option<&'static str> {
        let given = [
            (!self.tags.is_empty(), "--tag"),
            (self.manifest.is_some(), "--manifest"),
            (self.env_file.is_some(), "--env-file"),
            (self.facts.is_some(), "--facts"),
            (self.policy.is_some(), "--policy"),
        ];
        given.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }
}

/// A value and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    pub value: T,
    pub origin: String,
}

/// The policy in force.
#[derive(Clone, Debug)]
pub struct Policy {
    layers: Vec<(String, Fragment)>,
    /// When the run that follows it must end.
    until: Option<Instant>,
}

impl Fragment {
    /// These words over those of `under`.
    fn over(self, under: Fragment) -> Fragment {
        let environments = if self.environments.is_empty() { under.environments } else { self.environments };
        Fragment {
            repository: self.repository.or(under.repository),
            git_credential: self.git_credential.or(under.git_credential),
            secret: self.secret.or(under.secret),
            service: self.service.or(under.service),
            environment: self.environment.or(under.environment),
            commit: self.commit.or(under.commit),
            services: self.services.or(under.services),
            budget: self.budget.or(under.budget),
            environments,
            tags: Tags {
                service: self.tags.service.or(under.tags.service),
                environment: self.tags.environment.or(under.tags.environment),
                commit: self.tags.commit.or(under.tags.commit),
            },
            imds: Imds {
                wait: self.imds.wait.or(under.imds.wait),
                service: self.imds.service.or(under.imds.service),
            },
        }
    }
}

/// Lays what the first run of this instance recorded under this run's flags.
pub async fn recorded_flags(machine: &impl Observe, policy: Policy, instance: &str) -> Result<Policy> {
    let path = layout::recorded_flags(instance);
    match machine.text(&path).await? {
        Some(text) => policy.recorded(&path, &text),
        None => Ok(policy),
    }
}

/// Reads the policy file and lays this run's flags over it.
pub async fn policy(machine: &impl Observe, flags: &Flags) -> Result<Policy> {
    let mut policy = Policy { layers: vec![("default".to_owned(), defaults())], until: None };
    match &flags.stand_ins.policy {
        Some(path) => {
            let origin = path.display().to_string();
            policy.push(&origin, parse(&origin, &given(machine, path, "--policy").await?)?)?;
        }
        None => {
            if let Some(text) = machine.text(Path::new(POLICY)).await? {
                policy.push(POLICY, parse(POLICY, &text)?)?;
            }
        }
    }
    policy.push(FLAG, flags.policy.clone())?;
    Ok(policy)
}

fn defaults() -> Fragment {
    let environments = [("test", "test"), ("stage", "stage"), ("prod", "main")];
    Fragment {
        secret: Some("service_env_{service}_{environment}".to_owned()),
        budget: Some(Seconds(900)),
        environments: environments.map(|(name, branch)| (name.to_owned(), branch.to_owned())).into(),
        tags: Tags {
            service: Some("bootagent:service".to_owned()),
            environment: Some("bootagent:environment".to_owned()),
            commit: Some("bootagent:ref".to_owned()),
        },
        imds: Imds { wait: Some(Seconds(120)), service: Some(true) },
        ..Fragment::default()
    }
}

fn parse(path: &str, text: &str) -> Result<Fragment> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text[..start].matches('\n').count() + 1;
        Error::new(Code::PolicyInvalid, "reading the policy", format!("{path}:{line}: {}", error.message()))
    })
}

/// `https://user:password@host/`. Found before the address is shown anywhere.
fn has_userinfo(address: &str) -> bool {
    let authority =
        address.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    authority.is_some_and(|authority| authority.contains('@'))
}

impl Policy {
    /// Lays one more fragment over the others, after checking what can be checked in it alone.
    fn push(&mut self, origin: &str, fragment: Fragment) -> Result<()> {
        for (environment, branch) in &fragment.environments {
            let fits = Environment::try_from(environment.as_str())
                .map(|_| ())
                .and(Branch::try_from(branch.as_str()).map(|_| ()));
            fits.map_err(|error| {
                Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), error)
            })?;
        }
        if fragment.repository.as_deref().is_some_and(has_userinfo) {
            let cause = "the repository's address holds a user or a password";
            return Err(Error::new(Code::RepositoryInvalid, format!("reading the policy ({origin})"), cause));
        }
        for service in fragment.services.iter().flatten() {
            Service::try_from(service.as_str()).map_err(|error| {
                Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), error)
            })?;
        }
        for (seconds, key) in [(fragment.budget, "budget"), (fragment.imds.wait, "imds.wait")] {
            if seconds.is_some_and(|seconds| seconds.0 > 3600) {
                return Err(Error::new(
                    Code::PolicyInvalid,
                    format!("reading the policy ({origin})"),
                    format!("{key} is over one hour"),
                ));
            }
        }
        self.layers.push((origin.to_owned(), fragment));
        Ok(())
    }

    fn recorded(mut self, path: &Path, text: &str) -> Result<Policy> {
        let origin = path.display().to_string();
        let flags = self.layers.pop();
        self.push(&origin, parse(&origin, text)?)?;
        self.layers.extend(flags);
        Ok(self)
    }

    /// What the next boot must be told again, as policy text: the flags recorded before, and this run's
    /// over them. Nothing, if there never were any.
    pub fn recordable(&self) -> Result<Option<String>> {
        let after_the_file = self.layers.iter().filter(|(origin, _)| origin != "default" && origin != POLICY);
        let flags = after_the_file.fold(Fragment::default(), |under, (_, flags)| flags.clone().over(under));
        // A commit is decided, not recorded: the next update must be free to leave it.
        let flags = Fragment { commit: None, ..flags };
        if flags == Fragment::default() {
            return Ok(None);
        }
        let text =
            toml::to_string(&flags).map_err(|error| Error::new(Code::Bug, "recording the flags", error))?;
        Ok(Some(format!("# The flags of this instance's runs, recorded by bootagent.\n{text}")))
    }

    fn said<T>(&self, read: impl Fn(&Fragment) -> Option<T>) -> Option<Said<T>> {
        self.layers
            .iter()
            .rev()
            .find_map(|(origin, fragment)| read(fragment).map(|value| Said { value, origin: origin.clone() }))
    }

    /// For keys that the defaults give.
    fn always<T: Default>(&self, read: impl Fn(&Fragment) -> Option<T>) -> Said<T> {
        self.said(read).unwrap_or_else(|| Said { value: T::default(), origin: "default".to_owned() })
    }

    pub fn repository(&self) -> Result<Said<String>> {
        self.said(|fragment| fragment.repository.clone()).ok_or_else(|| {
            Error::new(
                Code::PolicyNoRepository,
                "reading the policy",
                format!("neither {POLICY} nor a flag names the repository"),
            )
        })
    }

    pub fn git_credential(&self) -> Option<Said<String>> {
        self.said(|fragment| fragment.git_credential.clone())
    }

    pub fn secret(&self) -> Said<String> {
        self.always(|fragment| fragment.secret.clone())
    }

    pub fn service(&self) -> Option<Said<String>> {
        self.said(|fragment| fragment.service.clone())
    }

    pub fn environment(&self) -> Option<Said<String>> {
        self.said(|fragment| fragment.environment.clone())
    }

    pub fn commit(&self) -> Option<Said<String>> {
        self.said(|fragment| fragment.commit.clone())
    }

    pub fn services(&self) -> Option<Said<Vec<String>>> {
        self.said(|fragment| fragment.services.clone())
    }

    /// A policy that names environments means these and no others.
    pub fn environments(&self) -> Said<BTreeMap<String, String>> {
        self.always(|fragment| (!fragment.environments.is_empty()).then(|| fragment.environments.clone()))
    }

    pub fn budget(&self) -> Said<Seconds> {
        self.said(|fragment| fragment.budget)
            .unwrap_or(Said { value: Seconds(900), origin: "default".to_owned() })
    }

    /// The same policy with an end to all waiting.
    pub fn within(self, budget: std::time::Duration) -> Policy {
        Policy { until: Some(Instant::now() + budget), ..self }
    }

    /// How long anything may still be waited for. The last second is for saying so.
    pub fn patience(&self) -> Seconds {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()).as_secs());
        Seconds(left.map_or(3600, |left| left.saturating_sub(1)))
    }

    pub fn wait(&self) -> Seconds {
        let wait = self.said(|fragment| fragment.imds.wait).map_or(Seconds(120), |said| said.value);
        wait.min(self.patience())
    }

    pub fn service_may_use_imds(&self) -> Said<bool> {
        self.always(|fragment| fragment.imds.service)
    }

    pub fn service_tag(&self) -> String {
        self.always(|fragment| fragment.tags.service.clone()).value
    }

    pub fn environment_tag(&self) -> String {
        self.always(|fragment| fragment.tags.environment.clone()).value
    }

    pub fn commit_tag(&self) -> String {
        self.always(|fragment| fragment.tags.commit.clone()).value
    }

    /// The tags without which this policy cannot tell the service.
    pub fn needed_tags(&self) -> Vec<String> {
        let service = self.service().is_none().then(|| self.service_tag());
        let environment = self.environment().is_none().then(|| self.environment_tag());
        service.into_iter().chain(environment).collect()
    }
}

impl<T: std::fmt::Display> Said<T> {
    pub fn setting(&self, name: &str) -> Setting {
        Setting { name: name.to_owned(), value: self.value.to_string(), origin: self.origin.clone() }
    }
}

#[cfg(test)]
mod tests;
