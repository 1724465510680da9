//! What may be, as root-owned files and user-data's flags say it. Convention fills the rest.
//!
//! A policy is made of fragments, later ones over earlier ones: the defaults, /etc/bootagent/policy.toml,
//! the flags that this instance's first run recorded, and the flags of this run.

mod archives;
mod flags;
mod fragment;
mod imds;
mod network;
mod origin;
mod packages;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::facts::HostKey;
use crate::fault::{BUDGET, Phase};
use crate::machine::{Observe, blocking};
use crate::observe::flag_file::flag_file;
use crate::plan::{Seconds, layout};

pub use archives::{Archives, ArchivesAllowed};
pub use flags::{Flags, Overrides};
pub use fragment::{Fragment, holds_a_secret};
use fragment::{defaults, parse};
pub use origin::{Origin, Origins, Sourced};
pub use packages::PackagesAllowed;

pub const POLICY: &str = "/etc/bootagent/policy.toml";

/// The policy in force.
#[derive(Clone, Debug)]
pub struct Policy {
    layers: Vec<(Origin, Fragment)>,
    /// When the run that follows it must end.
    until: Option<Instant>,
}

/// Lays what earlier runs of this instance recorded under this run's flags, unless they shall be forgotten.
pub async fn recorded_flags(
    machine: &impl Observe,
    policy: Policy,
    instance: &str,
    forget: bool,
) -> Result<Policy> {
    let path = layout::recorded_flags(instance);
    match machine.policy_text(&path).await? {
        Some(_) if forget => policy.recorded(&path, ""),
        Some(text) => blocking(move || policy.recorded(&path, &text)).await,
        None => Ok(policy),
    }
}

/// Reads the policy file and lays this run's flags over it.
pub async fn policy(machine: &impl Observe, flags: &Flags) -> Result<Policy> {
    let mut policy = Policy { layers: vec![(Origin::Default, defaults())], until: None };
    let file = match &flags.overrides.policy {
        Some(path) => Some((path.display().to_string(), flag_file(machine, path, "--policy").await?)),
        None => machine.policy_text(Path::new(POLICY)).await?.map(|text| (POLICY.to_owned(), text)),
    };
    let flags = flags.policy.clone();
    let read = move || {
        if let Some((path, text)) = file {
            policy.file(&path, &text)?;
        }
        policy.push(Origin::Flag, flags)?;
        Ok(policy)
    };
    blocking(read).await
}

impl Policy {
    /// Lays one more fragment over the others, after checking what can be checked in it alone.
    fn push(&mut self, origin: Origin, fragment: Fragment) -> Result<()> {
        fragment.check(&origin.to_string()).map_err(|error| origin.remedied(error))?;
        self.layers.push((origin, fragment));
        Ok(())
    }

    fn file(&mut self, path: &str, text: &str) -> Result<()> {
        self.push(Origin::File(path.to_owned()), parse(path, text)?)
    }

    fn recorded(mut self, path: &Path, text: &str) -> Result<Policy> {
        let path = path.display().to_string();
        let origin = Origin::Recorded(path.clone());
        let fragment = parse(&path, text).map_err(|error| origin.remedied(error))?;
        let flags = self.layers.pop();
        self.push(origin, fragment)?;
        self.layers.extend(flags);
        Ok(self)
    }

    /// What the next boot must be told again, as policy text: the flags recorded before, and this run's
    /// over them. Nothing, if there never were any; what was forgotten is recorded as no flags.
    pub fn recordable(&self) -> Result<Option<String>> {
        let said = |wanted: fn(&Origin) -> bool| self.layers.iter().filter(move |(origin, _)| wanted(origin));
        let flags = said(|origin| matches!(origin, Origin::Recorded(_) | Origin::Flag))
            .fold(Fragment::default(), |under, (_, flags)| flags.clone().over(under));
        // A commit is decided, not recorded: the next update must be free to leave it.
        let flags = Fragment { commit: None, ..flags };
        let before = said(|origin| matches!(origin, Origin::Recorded(_))).count();
        if flags == Fragment::default() && before == 0 {
            return Ok(None);
        }
        let text =
            toml::to_string(&flags).map_err(|error| Error::new(Code::Bug, "recording the flags", error))?;
        Ok(Some(format!("# The flags of this instance's runs, recorded by bootagent.\n{text}")))
    }

    fn said<T>(&self, read: impl Fn(&Fragment) -> Option<T>) -> Option<Sourced<T>> {
        self.layers.iter().rev().find_map(|(origin, fragment)| {
            read(fragment).map(|value| Sourced { value, origin: origin.clone() })
        })
    }

    /// For keys that the defaults give.
    fn always<T: Default>(&self, read: impl Fn(&Fragment) -> Option<T>) -> Sourced<T> {
        self.said(read).unwrap_or_else(|| Sourced { value: T::default(), origin: Origin::Default })
    }

    pub fn repository(&self) -> Result<Sourced<String>> {
        self.said(|fragment| fragment.repository.clone()).ok_or_else(|| {
            Error::new(
                Code::PolicyNoRepository,
                "reading the policy",
                format!("neither {POLICY} nor a flag names the repository"),
            )
        })
    }

    pub fn git_credential(&self) -> Option<Sourced<String>> {
        self.said(|fragment| fragment.git_credential.clone())
    }

    pub fn host_keys(&self) -> Vec<HostKey> {
        self.always(|fragment| fragment.git.host_keys.clone()).value
    }

    pub fn secret(&self) -> Sourced<String> {
        self.always(|fragment| fragment.secret.clone())
    }

    pub fn service(&self) -> Option<Sourced<String>> {
        self.said(|fragment| fragment.service.clone())
    }

    pub fn environment(&self) -> Option<Sourced<String>> {
        self.said(|fragment| fragment.environment.clone())
    }

    pub fn commit(&self) -> Option<Sourced<String>> {
        self.said(|fragment| fragment.commit.clone())
    }

    pub fn services(&self) -> Option<Sourced<Vec<String>>> {
        self.said(|fragment| fragment.services.clone())
    }

    /// A policy that names environments means these and no others.
    pub fn environments(&self) -> Sourced<BTreeMap<String, String>> {
        self.always(|fragment| (!fragment.environments.is_empty()).then(|| fragment.environments.clone()))
    }

    pub fn budget(&self) -> Sourced<Seconds> {
        self.said(|fragment| fragment.budget).unwrap_or(Sourced { value: BUDGET, origin: Origin::Default })
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
            self.said(|fragment| fragment.imds.wait).map_or(Phase::Metadata.seconds(), |said| said.value);
        wait.min(self.patience())
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

#[cfg(test)]
mod tests;
