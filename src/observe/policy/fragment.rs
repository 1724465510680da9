//! One layer of the policy, as written in a file or in flags: its keys, their checks, and the defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::apt::AptRepositories;
use super::archives::{self, Words};
use super::cache::Cache;
use super::copies::Copies;
use super::dnf::DnfRepositories;
use super::evidence::Evidence;
use super::fleet::Fleet;
use super::hooks::Hooks;
use super::imds::Imds;
use super::journal::Journal;
use super::lifecycle::Lifecycle;
use super::limits::LimitsAllowed;
use super::mistake;
use super::network::Network;
use super::packages::Packages;
use super::ports::{LowPorts, Proxy};
use super::registries::Registries;
use super::swap::Swap;
use super::values::{MOST_PATTERNS, Values};
use super::watch::Watch;
use crate::error::{Code, Error, Result};
use crate::facts::{Branch, Environment, HostKey, LONGEST_EVIDENCE, Mirrors, Service, Signer};
use crate::fault::{BUDGET, Phase};
use crate::plan::Seconds;

// Limits of lists. A program that writes the policy, or records flags, must not make it grow without end.
pub const MOST_SERVICES: usize = 1000;
pub const MOST_ENVIRONMENTS: usize = 100;
pub const MOST_HOST_KEYS: usize = 100;
pub const MOST_SIGNERS: usize = 100;
pub const MOST_DIRECT_HOSTS: usize = 100;
pub const MOST_CHECKSUMS: usize = 1000;
/// Of `[archives]` and of `[mirrors]`: several times as many as bootagent knows.
pub const MOST_ARCHIVES: usize = 100;

/// The keys of a policy file or of flags. Every key is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fragment {
    pub repository: Option<String>,
    pub git_credential: Option<String>,
    pub secret: Option<String>,
    /// Name of the secret with the tokens of private registries.
    pub install_secret: Option<String>,
    pub service: Option<String>,
    pub environment: Option<String>,
    #[serde(rename = "ref")]
    pub commit: Option<String>,
    pub services: Option<Vec<String>>,
    pub budget: Option<Seconds>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Git::is_empty")]
    pub git: Git,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    #[serde(default, skip_serializing_if = "Imds::is_empty")]
    pub imds: Imds,
    #[serde(default, skip_serializing_if = "Network::is_empty")]
    pub network: Network,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mirrors: Mirrors,
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub node: Words,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub archives: BTreeMap<String, Words>,
    #[serde(default, skip_serializing_if = "Packages::is_empty")]
    pub packages: Packages,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apt: AptRepositories,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dnf: DnfRepositories,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registries: Registries,
    /// Whether dependencies must be locked; `false` allows those without a lockfile.
    pub lockfile: Option<bool>,
    #[serde(default, skip_serializing_if = "Lifecycle::is_empty")]
    pub lifecycle: Lifecycle,
    #[serde(default, skip_serializing_if = "Fleet::is_empty")]
    pub fleet: Fleet,
    #[serde(default, skip_serializing_if = "Cache::is_empty")]
    pub cache: Cache,
    #[serde(default, skip_serializing_if = "Copies::is_empty")]
    pub origins: Copies,
    #[serde(default, skip_serializing_if = "Watch::is_empty")]
    pub watch: Watch,
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub values: Values,
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Which ports below 1024 a service and its proxy may open.
    pub low_ports: Option<LowPorts>,
    #[serde(default, skip_serializing_if = "Proxy::is_empty")]
    pub proxy: Proxy,
    #[serde(default, skip_serializing_if = "Swap::is_empty")]
    pub swap: Swap,
    #[serde(default, skip_serializing_if = "Journal::is_empty")]
    pub journal: Journal,
    #[serde(default, skip_serializing_if = "LimitsAllowed::is_empty")]
    pub limits: LimitsAllowed,
}

/// The table `[git]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// Host keys of ssh servers other than GitHub, as lines of known_hosts.
    pub host_keys: Option<Vec<HostKey>>,
    /// Keys that may sign commits, as lines of ssh's allowed_signers.
    pub signers: Option<Vec<Signer>>,
    /// Whether commits with submodules are deployed.
    pub submodules: Option<bool>,
}

/// The table `[tags]`: the keys of the tags that select, for fleets with tags of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tags {
    pub service: Option<String>,
    pub environment: Option<String>,
    #[serde(rename = "ref")]
    pub commit: Option<String>,
}

impl Git {
    fn is_empty(&self) -> bool {
        *self == Git::default()
    }
}

impl Tags {
    fn is_empty(&self) -> bool {
        *self == Tags::default()
    }
}

impl Fragment {
    /// Whether a repository is a URL or ssh's `user@host:path`, and not a directory.
    pub fn is_address(repository: &str) -> bool {
        let is_ssh = repository.split_once(':').is_some_and(|(host, _)| host.contains('@'));
        repository.contains("://") || is_ssh
    }

    /// This layer above `under`: its keys take precedence.
    pub fn over(self, under: Fragment) -> Fragment {
        let environments = if self.environments.is_empty() { under.environments } else { self.environments };
        Fragment {
            repository: self.repository.or(under.repository),
            git_credential: self.git_credential.or(under.git_credential),
            secret: self.secret.or(under.secret),
            install_secret: self.install_secret.or(under.install_secret),
            service: self.service.or(under.service),
            environment: self.environment.or(under.environment),
            commit: self.commit.or(under.commit),
            services: self.services.or(under.services),
            budget: self.budget.or(under.budget),
            environments,
            git: Git {
                host_keys: self.git.host_keys.or(under.git.host_keys),
                signers: self.git.signers.or(under.git.signers),
                submodules: self.git.submodules.or(under.git.submodules),
            },
            tags: Tags {
                service: self.tags.service.or(under.tags.service),
                environment: self.tags.environment.or(under.tags.environment),
                commit: self.tags.commit.or(under.tags.commit),
            },
            imds: self.imds.over(under.imds),
            network: self.network.over(under.network),
            mirrors: under.mirrors.into_iter().chain(self.mirrors).collect(),
            node: self.node.over(under.node),
            archives: archives::over(self.archives, under.archives),
            packages: self.packages.over(under.packages),
            apt: under.apt.into_iter().chain(self.apt).collect(),
            dnf: under.dnf.into_iter().chain(self.dnf).collect(),
            registries: under.registries.into_iter().chain(self.registries).collect(),
            lockfile: self.lockfile.or(under.lockfile),
            lifecycle: self.lifecycle.over(under.lifecycle),
            fleet: self.fleet.over(under.fleet),
            cache: self.cache.over(under.cache),
            origins: self.origins.over(under.origins),
            watch: self.watch.over(under.watch),
            evidence: self.evidence.over(under.evidence),
            values: self.values.over(under.values),
            hooks: self.hooks.over(under.hooks),
            low_ports: self.low_ports.or(under.low_ports),
            proxy: self.proxy.over(under.proxy),
            swap: self.swap.over(under.swap),
            journal: self.journal.over(under.journal),
            limits: self.limits.over(under.limits),
        }
    }

    /// The checks that need no other layer. `origin` names the layer in errors.
    pub fn check(&self, origin: &str) -> Result<()> {
        if let Some((key, count, most)) = self.counted().into_iter().find(|(_, count, most)| count > most) {
            let cause = format!("{key} has {count} entries; the limit is {most}");
            return Err(Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), cause));
        }
        for (environment, branch) in &self.environments {
            let fits = Environment::try_from(environment.as_str())
                .map(|_| ())
                .and(Branch::try_from(branch.as_str()).map(|_| ()));
            fits.map_err(|error| {
                Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), error)
            })?;
        }
        let archives = self.all_archives().try_for_each(|(name, words)| words.check(&name));
        let ports = self.low_ports.as_ref().map_or(Ok(()), LowPorts::check).and(self.proxy.check());
        let apt = self.apt.iter().try_for_each(|(name, words)| words.check(name));
        let dnf = self.dnf.iter().try_for_each(|(name, words)| words.check(name));
        let registries = self.registries.iter().try_for_each(|(name, words)| words.check(name));
        let all = archives
            .and(apt)
            .and(dnf)
            .and(registries)
            .and(self.imds.check())
            .and(self.lifecycle.check())
            .and(self.fleet.check())
            .and(self.cache.check(self.fleet.prefix.is_some()))
            .and(self.origins.check(self.fleet.prefix.is_some()))
            .and(self.watch.check())
            .and(self.evidence.check())
            .and(ports)
            .and(self.limits.check())
            .and(self.swap.check())
            .and(self.journal.check());
        all.map_err(|cause| {
            Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), cause)
        })?;
        let addresses = [("repository", &self.repository), ("origins.mirror", &self.origins.mirror)];
        let addresses = addresses.into_iter().filter_map(|(key, address)| Some((key, address.as_deref()?)));
        if let Some((key, _)) = addresses.clone().find(|(_, address)| holds_a_secret(address)) {
            let cause = format!("{key}: the address has a user or a password");
            return Err(Error::new(Code::RepositoryInvalid, format!("reading the policy ({origin})"), cause));
        }
        if let Some(scheme) = addresses.filter_map(|(_, address)| foreign_scheme(address)).next() {
            let cause = format!("only https://, http:// and ssh are supported, not {scheme}://");
            return Err(Error::new(Code::RepositoryInvalid, format!("reading the policy ({origin})"), cause));
        }
        let patterns = [
            ("repository", &self.repository),
            ("git_credential", &self.git_credential),
            ("secret", &self.secret),
            ("install_secret", &self.install_secret),
            ("evidence.stack", &self.evidence.stack),
            ("origins.mirror", &self.origins.mirror),
            ("cache.secret", &self.cache.secret),
            ("origins.mirror_credential", &self.origins.mirror_credential),
        ];
        let patterns = patterns.into_iter().filter_map(|(key, pattern)| Some((key, pattern.as_ref()?)));
        for (key, pattern) in patterns.chain(self.values.patterns()) {
            if let Some(unknown) = unknown_placeholder(pattern) {
                let unknown = unknown.escape_default();
                let cause =
                    format!("{key} has {unknown}: only {{service}} and {{environment}} are placeholders");
                return Err(Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), cause));
            }
        }
        if self.git.signers.as_ref().is_some_and(Vec::is_empty) {
            let cause =
                "git.signers is empty: no commit could be deployed; remove it to accept unsigned commits";
            return Err(Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), cause));
        }
        if self.budget == Some(Seconds(0)) {
            let cause = "budget is 0: every run would fail at once";
            return Err(Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), cause));
        }
        for service in self.services.iter().flatten() {
            Service::try_from(service.as_str()).map_err(|error| {
                Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), error)
            })?;
        }
        if self.hooks.timeout == Some(Seconds(0)) {
            let cause = "hooks.timeout is 0: every hook would fail at once";
            return Err(Error::new(Code::PolicyInvalid, format!("reading the policy ({origin})"), cause));
        }
        for (seconds, key) in [
            (self.budget, "budget"),
            (self.imds.wait, "imds.wait"),
            (self.packages.wait, "packages.wait"),
            (self.hooks.timeout, "hooks.timeout"),
        ] {
            if seconds.is_some_and(|seconds| seconds.0 > 3600) {
                return Err(Error::new(
                    Code::PolicyInvalid,
                    format!("reading the policy ({origin})"),
                    format!("{key} is over one hour"),
                ));
            }
        }
        Ok(())
    }
}

impl Fragment {
    /// Each list and table: its key, the number of its entries, and the limit.
    fn counted(&self) -> Vec<(String, usize, usize)> {
        let count = |list: Option<usize>| list.unwrap_or(0);
        let lists = [
            ("services", count(self.services.as_ref().map(Vec::len)), MOST_SERVICES),
            ("environments", self.environments.len(), MOST_ENVIRONMENTS),
            ("git.host_keys", count(self.git.host_keys.as_ref().map(Vec::len)), MOST_HOST_KEYS),
            ("git.signers", count(self.git.signers.as_ref().map(Vec::len)), MOST_SIGNERS),
            ("network.no_proxy", count(self.network.no_proxy.as_ref().map(Vec::len)), MOST_DIRECT_HOSTS),
            ("mirrors", self.mirrors.len(), MOST_ARCHIVES),
            ("archives", self.archives.len(), MOST_ARCHIVES),
            ("values.secrets", count(self.values.secrets.as_ref().map(Vec::len)), MOST_PATTERNS),
            ("values.parameters", count(self.values.parameters.as_ref().map(Vec::len)), MOST_PATTERNS),
            ("apt", self.apt.len(), MOST_ARCHIVES),
            ("dnf", self.dnf.len(), MOST_ARCHIVES),
            ("registries", self.registries.len(), MOST_ARCHIVES),
        ];
        let pins = |(name, words): (String, &Words)| {
            (format!("{name}.checksums"), words.checksums.len(), MOST_CHECKSUMS)
        };
        let lists = lists.into_iter().map(|(key, count, most)| (key.to_owned(), count, most));
        lists.chain(self.all_archives().map(pins)).collect()
    }
}

pub fn defaults() -> Fragment {
    let environments = [("test", "test"), ("stage", "stage"), ("prod", "main")];
    Fragment {
        secret: Some("service_env_{service}_{environment}".to_owned()),
        install_secret: Some("service_install_{service}_{environment}".to_owned()),
        budget: Some(BUDGET),
        environments: environments.map(|(name, branch)| (name.to_owned(), branch.to_owned())).into(),
        tags: Tags {
            service: Some("bootagent:service".to_owned()),
            environment: Some("bootagent:environment".to_owned()),
            commit: Some("bootagent:ref".to_owned()),
        },
        imds: Imds { wait: Some(Phase::Metadata.seconds()), service: Some(true), users: None },
        ..Fragment::default()
    }
}

pub fn parse(path: &str, text: &str) -> Result<Fragment> {
    if text.len() as u64 > LONGEST_EVIDENCE {
        let cause = format!("{path}: the file has {} bytes; the limit is {LONGEST_EVIDENCE}", text.len());
        return Err(Error::new(Code::PolicyInvalid, "reading the policy", cause));
    }
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let number = text[..start].matches('\n').count();
        let said = mistake::said(error.message(), text.lines().nth(number).unwrap_or_default());
        Error::new(Code::PolicyInvalid, "reading the policy", format!("{path}:{}: {said}", number + 1))
    })
}

/// A text in braces that is not a placeholder, such as `{name}`: it would become part of an address unchanged.
fn unknown_placeholder(pattern: &str) -> Option<String> {
    let rest = pattern.replace("{service}", "").replace("{environment}", "");
    let from = &rest[rest.find(['{', '}'])?..];
    let end = from.find('}').map_or(from.len(), |end| end + 1);
    Some(from[..end].to_owned())
}

/// A scheme that is not supported. Checked with the policy, because a pinned instance fetches nothing and would not
/// report it.
fn foreign_scheme(address: &str) -> Option<String> {
    let (scheme, _) = address.split_once("://")?;
    let known = ["https", "http", "ssh"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (!known).then(|| scheme.escape_default().to_string())
}

/// Whether an address has a user or a password, as in `https://user:password@host/`: then no message may show it. The
/// user of an ssh address is not a secret.
pub fn holds_a_secret(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, _)) => !scheme.eq_ignore_ascii_case("ssh") || user.contains(':'),
        None => false,
    }
}
