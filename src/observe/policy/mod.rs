//! The policy: what is allowed on this machine, from files that only root can write and from flags.
//!
//! It consists of layers. A later one takes precedence: the defaults, /etc/bootagent/policy.toml, the flags that
//! earlier runs of this instance recorded, and the flags of this run.

mod apt;
mod archives;
mod cache;
mod copies;
mod dnf;
mod evidence;
mod flags;
mod fleet;
mod fragment;
mod hooks;
mod imds;
mod journal;
mod lifecycle;
mod limits;
mod mistake;
mod network;
mod origin;
mod package_repository;
mod packages;
mod ports;
mod registries;
mod swap;
mod values;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::facts::{HostKey, Signer};
use crate::fault::{BUDGET, Phase};
use crate::machine::{Observe, blocking};
use crate::observe::flag_file::flag_file;
use crate::plan::{Seconds, layout};

pub use archives::{Archives, ArchivesAllowed};
pub use cache::CacheWanted;
pub use copies::{Bundles, CopiesWanted};
pub use evidence::EvidenceWanted;
pub use flags::{Flags, Overrides};
pub use fleet::{FleetWanted, OnFailure, Unreachable};
pub use fragment::{Fragment, holds_a_secret};
use fragment::{defaults, parse};
pub use lifecycle::HookWanted;
pub use limits::LimitsAllowed;
pub use origin::{Origin, Origins, Sourced};
pub use packages::PackagesAllowed;
pub use ports::LowPorts;
pub use swap::Upkeep;
pub use values::ValuesAllowed;
pub use watch::WatchWanted;

pub const POLICY: &str = "/etc/bootagent/policy.toml";

/// The policy in force.
#[derive(Clone, Debug)]
pub struct Policy {
    layers: Vec<(Origin, Fragment)>,
    /// The end of the run's time limit.
    until: Option<Instant>,
}

/// Adds the layer of recorded flags below this run's flags; with `forget`, an empty layer in its place.
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

/// Reads the policy file, and adds this run's flags as the layer above it.
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
    /// Adds a layer above the others, after checking it.
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

    /// The flags to record for later boots, as policy text: those recorded before, and this run's above them. `None` if
    /// there never were any; forgotten flags are recorded as an empty text.
    pub fn recordable(&self) -> Result<Option<String>> {
        let of = |wanted: fn(&Origin) -> bool| self.layers.iter().filter(move |(origin, _)| wanted(origin));
        let flags = of(|origin| matches!(origin, Origin::Recorded(_) | Origin::Flag))
            .fold(Fragment::default(), |under, (_, flags)| flags.clone().over(under));
        // The commit of --ref is pinned, not recorded: the next update must be able to choose another one.
        let flags = Fragment { commit: None, ..flags };
        let before = of(|origin| matches!(origin, Origin::Recorded(_))).count();
        if flags == Fragment::default() && before == 0 {
            return Ok(None);
        }
        let text =
            toml::to_string(&flags).map_err(|error| Error::new(Code::Bug, "recording the flags", error))?;
        Ok(Some(format!("# The flags of this instance's runs, recorded by bootagent.\n{text}")))
    }

    /// The value of a key in the uppermost layer that has it.
    fn uppermost<T>(&self, read: impl Fn(&Fragment) -> Option<T>) -> Option<Sourced<T>> {
        self.layers.iter().rev().find_map(|(origin, fragment)| {
            read(fragment).map(|value| Sourced { value, origin: origin.clone() })
        })
    }

    /// The same for keys with a default.
    fn or_default<T: Default>(&self, read: impl Fn(&Fragment) -> Option<T>) -> Sourced<T> {
        self.uppermost(read).unwrap_or_else(|| Sourced { value: T::default(), origin: Origin::Default })
    }

    pub fn repository(&self) -> Result<Sourced<String>> {
        self.uppermost(|fragment| fragment.repository.clone()).ok_or_else(|| {
            Error::new(
                Code::PolicyNoRepository,
                "reading the policy",
                format!("neither {POLICY} nor a flag names the repository"),
            )
        })
    }

    pub fn git_credential(&self) -> Option<Sourced<String>> {
        self.uppermost(|fragment| fragment.git_credential.clone())
    }

    pub fn host_keys(&self) -> Vec<HostKey> {
        self.or_default(|fragment| fragment.git.host_keys.clone()).value
    }

    pub fn signers(&self) -> Vec<Signer> {
        self.or_default(|fragment| fragment.git.signers.clone()).value
    }

    /// Whether commits with submodules are deployed.
    pub fn submodules(&self) -> bool {
        self.uppermost(|fragment| fragment.git.submodules).is_none_or(|named| named.value)
    }

    pub fn secret(&self) -> Sourced<String> {
        self.or_default(|fragment| fragment.secret.clone())
    }

    pub fn install_secret(&self) -> Sourced<String> {
        self.or_default(|fragment| fragment.install_secret.clone())
    }

    pub fn service(&self) -> Option<Sourced<String>> {
        self.uppermost(|fragment| fragment.service.clone())
    }

    pub fn environment(&self) -> Option<Sourced<String>> {
        self.uppermost(|fragment| fragment.environment.clone())
    }

    pub fn commit(&self) -> Option<Sourced<String>> {
        self.uppermost(|fragment| fragment.commit.clone())
    }

    pub fn services(&self) -> Option<Sourced<Vec<String>>> {
        self.uppermost(|fragment| fragment.services.clone())
    }

    /// The environments and their branches. Those of the uppermost layer that has any replace all others.
    pub fn environments(&self) -> Sourced<BTreeMap<String, String>> {
        self.or_default(|fragment| (!fragment.environments.is_empty()).then(|| fragment.environments.clone()))
    }

    pub fn budget(&self) -> Sourced<Seconds> {
        self.uppermost(|fragment| fragment.budget)
            .unwrap_or(Sourced { value: BUDGET, origin: Origin::Default })
    }

    /// The same policy with a time limit for the run.
    pub fn within(self, budget: std::time::Duration) -> Policy {
        Policy { until: Some(Instant::now() + budget), ..self }
    }

    /// The rest of the run's time limit, less one second for the run's report.
    pub fn patience(&self) -> Seconds {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()).as_secs());
        Seconds(left.map_or(3600, |left| left.saturating_sub(1)))
    }

    pub fn wait(&self) -> Seconds {
        let wait = self
            .uppermost(|fragment| fragment.imds.wait)
            .map_or(Phase::Metadata.seconds(), |found| found.value);
        wait.min(self.patience())
    }

    pub fn service_tag(&self) -> String {
        self.or_default(|fragment| fragment.tags.service.clone()).value
    }

    pub fn environment_tag(&self) -> String {
        self.or_default(|fragment| fragment.tags.environment.clone()).value
    }

    pub fn commit_tag(&self) -> String {
        self.or_default(|fragment| fragment.tags.commit.clone()).value
    }

    /// The keys of tags that must name service and environment, because neither policy nor flags do.
    pub fn needed_tags(&self) -> Vec<String> {
        let service = self.service().is_none().then(|| self.service_tag());
        let environment = self.environment().is_none().then(|| self.environment_tag());
        service.into_iter().chain(environment).collect()
    }
}

#[cfg(test)]
mod tests;
