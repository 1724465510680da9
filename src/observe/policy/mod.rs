//! What may be, as root-owned files and user-data's flags say it. Convention fills the rest.
//!
//! A policy is made of fragments, later ones over earlier ones: the defaults, /etc/bootagent/policy.toml,
//! the flags that this instance's first run recorded, and the flags of this run.

mod flags;
mod fragment;
mod network;
mod node;
mod packages;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::facts::HostKey;
use crate::fault::{BUDGET, Slice};
use crate::machine::Observe;
use crate::observe::given::given;
use crate::plan::{Seconds, Setting, layout};

pub use flags::{Flags, StandIns};
pub use fragment::{Fragment, holds_a_secret};
use fragment::{defaults, parse};
pub use node::NodeArchives;
pub use packages::PackagesAllowed;

/// The origin of what this run was told on its command line.
pub const FLAG: &str = "flag";
pub const POLICY: &str = "/etc/bootagent/policy.toml";

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

/// Lays what the first run of this instance recorded under this run's flags.
pub async fn recorded_flags(machine: &impl Observe, policy: Policy, instance: &str) -> Result<Policy> {
    let path = layout::recorded_flags(instance);
    match machine.policy_text(&path).await? {
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
            if let Some(text) = machine.policy_text(Path::new(POLICY)).await? {
                policy.push(POLICY, parse(POLICY, &text)?)?;
            }
        }
    }
    policy.push(FLAG, flags.policy.clone())?;
    Ok(policy)
}

impl Policy {
    /// Lays one more fragment over the others, after checking what can be checked in it alone.
    fn push(&mut self, origin: &str, fragment: Fragment) -> Result<()> {
        fragment.check(origin)?;
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

    pub fn host_keys(&self) -> Vec<HostKey> {
        self.always(|fragment| fragment.git.host_keys.clone()).value
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
        self.said(|fragment| fragment.budget).unwrap_or(Said { value: BUDGET, origin: "default".to_owned() })
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
        let wait =
            self.said(|fragment| fragment.imds.wait).map_or(Slice::Metadata.seconds(), |said| said.value);
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
