//! Selects service, environment, branch and commit of this instance: from flags, the policy, tags and the record of an
//! earlier run. The policy limits what tags can select. No reads happen here.

use super::choice::{branch, environment, pinned, service};
use super::compare::{contradiction, is_commit, is_environment};
use super::policy::{
    Archives, CacheWanted, CopiesWanted, EvidenceWanted, FleetWanted, HookWanted, LimitsAllowed, LowPorts,
    Origins, PackagesAllowed, Policy, Upkeep, ValuesAllowed, WatchWanted,
};
use super::remote::{Remote, refuse_userinfo, without_repository};
use super::{Decision, notes};
use crate::error::Result;
use crate::facts::{Branch, CommitPrefix, Environment, Facts, Mirrors, Network, Registry, Service};
use crate::plan::{Seconds, Setting};

/// What to deploy, and under which settings. All values are checked.
#[derive(Clone, Debug)]
pub struct Selection {
    pub service: Service,
    pub environment: Environment,
    pub branch: Branch,
    pub pinned: Option<CommitPrefix>,
    /// A URL; of a dry run perhaps a path. Of a service without a repository, the path of its manifest.
    pub repository: String,
    /// Whether the service has no repository: its source is the operator's manifest.
    pub is_manifest: bool,
    /// The name of the secret with the service's variables.
    pub secret: String,
    /// The name of the secret with the tokens of private registries.
    pub install_secret: String,
    pub registries: Vec<Registry>,
    /// The secrets and parameters that a manifest may name besides it.
    pub values: ValuesAllowed,
    /// The name of the secret with the git credential.
    pub credential: Option<String>,
    pub budget: Seconds,
    pub service_may_use_imds: bool,
    /// The only users that may reach IMDS besides root and perhaps the service; none if every user may.
    pub imds_users: Option<Vec<String>>,
    pub network: Network,
    pub mirrors: Mirrors,
    pub archives: Archives,
    pub packages: PackagesAllowed,
    /// Whether dependencies must be locked, unless the manifest says it.
    pub lockfile: bool,
    /// Whether npm, and never bootagent's own installer, installs Node's packages.
    pub npm_installs: bool,
    /// The time limit of each of the operator's hooks.
    pub hooks_timeout: Seconds,
    /// The lifecycle hook that the run completes.
    pub lifecycle: Option<HookWanted>,
    /// What instances share, and what one does with a commit that fails.
    pub fleet: FleetWanted,
    /// The release cache.
    pub cache: CacheWanted,
    /// From where a commit is read while the git server cannot be reached.
    pub copies: CopiesWanted,
    /// What the watcher attends to while the service runs.
    pub watch: Option<WatchWanted>,
    /// Who else learns how a run ended.
    pub evidence: EvidenceWanted,
    pub low_ports: LowPorts,
    /// Address ranges of load balancers, whose `X-Forwarded-For` a proxy believes.
    pub proxy_trust: Vec<String>,
    /// The machine's swap file and journal.
    pub upkeep: Upkeep,
    /// What the units of the service may use at most.
    pub limits: LimitsAllowed,
    pub settings: Vec<Setting>,
    pub origins: Origins,
    /// Changes of tags and policy that only an update applies, as messages.
    pub notes: Vec<String>,
    /// The release becomes part of an image: nothing is started, and no value is read.
    pub bakes: bool,
    /// None if this run writes nothing for the next boot.
    pub next_boot: Option<NextBoot>,
}

/// What this run must install or record for the next boot.
#[derive(Clone, Debug)]
pub struct NextBoot {
    pub instance: String,
    /// The flags to record, as policy text; none if there are none.
    pub flags: Option<String>,
    /// The running bootagent is already the one that `bootagent.service` starts.
    pub installed: bool,
}

/// What a run chooses again, in place of what the instance is pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anew {
    Nothing,
    /// A rollback: only the commit. Changed tags or policies do not change service, environment and repository.
    Commit,
    All,
}

impl From<bool> for Anew {
    /// From whether the run is an update.
    fn from(update: bool) -> Self {
        if update { Anew::All } else { Anew::Nothing }
    }
}

/// Selects what to deploy. Without an update, the record of an earlier run takes precedence over policy and tags. An
/// update reads policy and tags first, and uses the record for what they do not name.
pub fn select(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
    anew: impl Into<Anew>,
) -> Result<Selection> {
    let anew = anew.into();
    let update = anew == Anew::All;
    if let Some(decided) = decided.filter(|_| anew == Anew::Nothing) {
        refuse_contradiction(policy, decided)?;
    }
    let service = service(facts, policy, decided, update)?;
    let environment = environment(facts, policy, decided, update)?;
    let (environment, branch) = branch(environment, &policy.environments())?;
    let pinned = pinned(facts, policy, decided.filter(|_| anew == Anew::Nothing))?;
    let fill = |pattern: &str| {
        pattern
            .replace("{service}", service.value.as_str())
            .replace("{environment}", environment.value.as_str())
    };
    let secret = policy.secret().map(|pattern| fill(&pattern));
    let install_secret = policy.install_secret().map(|pattern| fill(&pattern)).value;
    let (registries, registry_settings) = policy.registries(&service.value, &install_secret);
    let recorded = decided.filter(|_| !update);
    let own = without_repository(facts, recorded);
    let is_manifest = own.is_some();
    let Remote { repository, credential } = match own {
        Some(manifest) => manifest,
        None => {
            let wanted = Remote {
                repository: policy.repository()?.map(|pattern| fill(&pattern)),
                credential: policy.git_credential().map(|pattern| pattern.map(|pattern| fill(&pattern))),
            };
            refuse_userinfo(&wanted.repository)?;
            match recorded {
                Some(decided) => wanted.pinned_to(decided)?,
                None => wanted,
            }
        }
    };
    let budget = policy.budget();
    let imds = policy.service_may_use_imds();

    let mut origins = Origins::default();
    origins.note("service", &service);
    origins.note("environment", &environment);
    origins.note("repository", &repository);
    origins.note("secret", &secret);
    if let Some(pinned) = &pinned {
        origins.note("ref", pinned);
    }
    if let Some(credential) = &credential {
        origins.note("git_credential", credential);
    }
    let mut settings = vec![service.setting("service"), environment.setting("environment")];
    settings.extend((!is_manifest).then(|| branch.setting("branch")));
    settings.extend(pinned.as_ref().map(|commit| commit.setting("ref")));
    settings.extend([
        repository.setting(if is_manifest { "source" } else { "repository" }),
        secret.setting("secret"),
    ]);
    settings.extend(credential.as_ref().map(|name| name.setting("git_credential")));
    settings.extend([budget.setting("budget"), imds.setting("imds.service")]);
    let (imds_users, user_settings) = policy.imds_users();
    settings.extend(user_settings);
    settings.extend(policy.network_settings());
    settings.extend(registry_settings);
    let (archives, archive_settings) = policy.archives();
    settings.extend(archive_settings);
    let (packages, package_settings) = policy.packages();
    settings.extend(package_settings);
    let lockfile = policy.lockfile();
    settings.extend(lockfile.as_ref().map(|found| found.setting("lockfile")));
    let installer = policy.node_installer();
    settings.extend(installer.as_ref().map(|found| found.setting("node.installer")));
    let (lifecycle, lifecycle_settings) = policy.lifecycle();
    settings.extend(lifecycle_settings);
    let (fleet, fleet_settings) = policy.fleet();
    settings.extend(fleet_settings);
    let (copies, copy_settings) = policy.copies(service.value.as_str(), environment.value.as_str(), fill);
    settings.extend(copy_settings);
    let (cache, cache_settings) = policy.cache(fill);
    settings.extend(cache_settings);
    let (watch, watch_settings) = policy.watch();
    settings.extend(watch_settings);
    let (evidence, evidence_settings) = policy.evidence(&service.value, &environment.value);
    settings.extend(evidence_settings);
    let (values, value_settings) = policy.values(&service.value, &environment.value, &secret.value);
    settings.extend(value_settings);
    let (hooks_timeout, hooks_setting) = policy.hooks_timeout();
    settings.extend(hooks_setting);
    let (low_ports, low_ports_setting) = policy.low_ports();
    let (proxy_trust, trust_setting) = policy.proxy_trust();
    settings.extend(low_ports_setting.into_iter().chain(trust_setting));
    let (upkeep, upkeep_settings) = policy.upkeep();
    settings.extend(upkeep_settings);
    let (limits, limit_settings) = policy.limits();
    settings.extend(limit_settings);

    Ok(Selection {
        service: service.value,
        environment: environment.value,
        branch: branch.value,
        pinned: pinned.map(|commit| commit.value),
        repository: repository.value,
        is_manifest,
        secret: secret.value,
        install_secret,
        registries,
        values,
        credential: credential.map(|name| name.value),
        budget: budget.value,
        service_may_use_imds: imds.value,
        imds_users,
        network: policy.network(),
        mirrors: policy.mirrors(),
        archives,
        packages,
        lockfile: lockfile.is_none_or(|found| found.value),
        npm_installs: installer.is_some(),
        hooks_timeout,
        lifecycle,
        fleet,
        cache,
        copies,
        watch,
        evidence,
        low_ports,
        proxy_trust,
        upkeep,
        limits,
        settings,
        origins,
        notes: decided
            .filter(|_| !update)
            .map(|decided| notes::notes(facts, policy, decided))
            .unwrap_or_default(),
        bakes: false,
        next_boot: None,
    })
}

/// The service that this run is for.
pub fn selected_service(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
    anew: impl Into<Anew>,
) -> Result<Service> {
    Ok(service(facts, policy, decided, anew.into() == Anew::All)?.value)
}

/// A flag that contradicts the record is an error: a run that ignored it would not do what its user expects.
fn refuse_contradiction(policy: &Policy, decided: &Decision) -> Result<()> {
    let environment = policy.environment().filter(|name| !is_environment(policy, &name.value, decided));
    let commit = policy.commit().filter(|commit| !is_commit(&commit.value, decided));
    let wanted = [
        (policy.service(), decided.service.as_str(), "service"),
        (environment, decided.environment.as_str(), "environment"),
        (commit, decided.source.commit.as_str(), "ref"),
    ];
    for (wanted, before, what) in wanted {
        if let Some(wanted) = wanted.filter(|wanted| wanted.is_flag() && wanted.value != before) {
            return Err(contradiction(what, &wanted.value, before));
        }
    }
    Ok(())
}
