//! Which service this instance is: tags select, the policy decides what there is to select from.

use std::collections::BTreeMap;

use super::policy::{Archives, Origin, Origins, PackagesAllowed, Policy, Sourced, holds_a_secret};
use super::said::{is_commit, is_environment, tag};
use super::{Decision, waiting};
use crate::error::{Code, Error, Result};
use crate::facts::{Branch, CommitPrefix, Environment, Facts, Mirrors, Network, Service};
use crate::plan::{Seconds, Setting};

/// The choice, made and checked.
#[derive(Clone, Debug)]
pub struct Selection {
    pub service: Service,
    pub environment: Environment,
    pub branch: Branch,
    pub pinned: Option<CommitPrefix>,
    /// A URL, or on a laptop a path.
    pub repository: String,
    /// The name of the secret with the service's environment.
    pub secret: String,
    /// The name of the secret with the git credential.
    pub credential: Option<String>,
    pub budget: Seconds,
    pub service_may_use_imds: bool,
    /// Who may use it besides root and perhaps the service; absent where everyone may.
    pub imds_users: Option<Vec<String>>,
    pub network: Network,
    pub mirrors: Mirrors,
    pub archives: Archives,
    pub packages: PackagesAllowed,
    pub settings: Vec<Setting>,
    pub origins: Origins,
    /// What tags and policy say by now and only an update applies.
    pub notes: Vec<String>,
    /// Absent where nothing is to be kept for the next boot.
    pub next_boot: Option<NextBoot>,
}

/// What the next boot needs of this run.
#[derive(Clone, Debug)]
pub struct NextBoot {
    pub instance: String,
    /// This run's flags as policy text, if there were any.
    pub flags: Option<String>,
    /// The program stands already where the unit finds it.
    pub installed: bool,
}

/// What of an instance's choice a run makes anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anew {
    Nothing,
    /// A rollback: service, environment and repository stay, whatever tags and policy say by now.
    Commit,
    All,
}

impl From<bool> for Anew {
    /// An update or not.
    fn from(update: bool) -> Self {
        if update { Anew::All } else { Anew::Nothing }
    }
}

/// Decided once per instance: what was decided wins over policy and tags until an update. An update asks them anew, and
/// takes what was decided where they say nothing.
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
    let wanted = Remote {
        repository: policy.repository()?.map(|pattern| fill(&pattern)),
        credential: policy.git_credential().map(|said| said.map(|pattern| fill(&pattern))),
    };
    refuse_userinfo(&wanted.repository)?;
    let Remote { repository, credential } = match decided.filter(|_| !update) {
        Some(decided) => wanted.held_to(decided)?,
        None => wanted,
    };
    let budget = policy.budget();
    let imds = policy.service_may_use_imds();

    let mut origins = Origins::default();
    origins.note("service", &service);
    origins.note("environment", &environment);
    origins.note("repository", &repository);
    origins.note("secret", &secret);
    if let Some(credential) = &credential {
        origins.note("git_credential", credential);
    }
    let mut settings =
        vec![service.setting("service"), environment.setting("environment"), branch.setting("branch")];
    settings.extend(pinned.as_ref().map(|said| said.setting("ref")));
    settings.extend([repository.setting("repository"), secret.setting("secret")]);
    settings.extend(credential.as_ref().map(|said| said.setting("git_credential")));
    settings.extend([budget.setting("budget"), imds.setting("imds.service")]);
    let (imds_users, said_of_users) = policy.imds_users();
    settings.extend(said_of_users);
    settings.extend(policy.network_settings());
    let (archives, said_of_archives) = policy.archives();
    settings.extend(said_of_archives);
    let (packages, said_of_packages) = policy.packages();
    settings.extend(said_of_packages);

    Ok(Selection {
        service: service.value,
        environment: environment.value,
        branch: branch.value,
        pinned: pinned.map(|said| said.value),
        repository: repository.value,
        secret: secret.value,
        credential: credential.map(|said| said.value),
        budget: budget.value,
        service_may_use_imds: imds.value,
        imds_users,
        network: policy.network(),
        mirrors: policy.mirrors(),
        archives,
        packages,
        settings,
        origins,
        notes: decided
            .filter(|_| !update)
            .map(|decided| waiting::notes(facts, policy, decided))
            .unwrap_or_default(),
        next_boot: None,
    })
}

/// Where a commit comes from, and the secret with the credential for it.
struct Remote {
    repository: Sourced<String>,
    credential: Option<Sourced<String>>,
}

impl Remote {
    /// What was decided came from where it came from, whatever the policy says by now; and a credential for
    /// one server is not shown to another. A flag that says otherwise is refused.
    fn held_to(self, decided: &Decision) -> Result<Remote> {
        let before = &decided.source.repository;
        let same = self.repository.value.trim_end_matches('/') == before;
        if self.repository.is_flag() && !same {
            return Err(contradiction("repository", &self.repository.value, before));
        }
        let credential = self.credential.as_ref().filter(|said| said.is_flag()).map(|said| &said.value);
        if let Some(name) = credential.filter(|name| decided.credential.as_ref() != Some(name)) {
            let before = decided.credential.as_deref().unwrap_or("no credential");
            return Err(contradiction("git-credential-secret", name, before));
        }
        if same {
            return Ok(self);
        }
        let said = |value: &String| Sourced { value: value.clone(), origin: Origin::Decided };
        Ok(Remote { repository: said(before), credential: decided.credential.as_ref().map(said) })
    }
}

/// Before the address is shown anywhere.
fn refuse_userinfo(repository: &Sourced<String>) -> Result<()> {
    match holds_a_secret(&repository.value) {
        true => Err(Error::new(
            Code::RepositoryInvalid,
            format!("choosing the repository from {}", repository.origin),
            "its address has a user or a password in it",
        )),
        false => Ok(()),
    }
}

/// A flag that would be ignored is an error: its writer believes that it counts.
fn refuse_contradiction(policy: &Policy, decided: &Decision) -> Result<()> {
    let is_ours = |said: &Sourced<String>| is_environment(policy, &said.value, decided);
    let environment = policy.environment().filter(|said| !is_ours(said));
    let commit = policy.commit().filter(|said| !is_commit(&said.value, decided));
    let said = [
        (policy.service(), decided.service.as_str(), "service"),
        (environment, decided.environment.as_str(), "environment"),
        (commit, decided.source.commit.as_str(), "ref"),
    ];
    for (said, before, what) in said {
        if let Some(said) = said.filter(|said| said.is_flag() && said.value != before) {
            return Err(contradiction(what, &said.value, before));
        }
    }
    Ok(())
}

fn contradiction(flag: &str, value: &str, before: &str) -> Error {
    let cause = format!("this instance decided for {before} at its first boot");
    let doing = format!("reading the flag --{flag} {}", value.escape_default());
    Error::new(Code::Usage, doing, cause).remedy("add --update to decide anew")
}

/// A name that was said somewhere, checked against its grammar.
fn name<T: TryFrom<String>>(said: Sourced<String>, what: &str) -> Result<Sourced<T>>
where
    T::Error: std::fmt::Display,
{
    let Sourced { value, origin } = said;
    let code = if matches!(origin, Origin::Tag(_)) { Code::TagInvalid } else { Code::PolicyInvalid };
    match T::try_from(value) {
        Ok(value) => Ok(Sourced { value, origin }),
        Err(error) => {
            Err(origin.remedied(Error::new(code, format!("choosing the {what} from {origin}"), error)))
        }
    }
}

fn missing(what: &str, key: &str) -> Error {
    Error::new(Code::TagMissing, format!("choosing the {what}"), format!("the instance has no tag {key}"))
}

fn service(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
    update: bool,
) -> Result<Sourced<Service>> {
    let key = policy.service_tag();
    let said = policy.service().or_else(|| tag(facts, &key)).map(|said| name(said, "service"));
    let before = decided.map(|decided| Sourced { value: decided.service.clone(), origin: Origin::Decided });
    let said = chosen(said, before, update).unwrap_or_else(|| Err(missing("service", &key)))?;
    match policy.services() {
        Some(allowed) if !allowed.value.iter().any(|name| name == said.value.as_str()) => {
            Err(said.origin.remedied(Error::new(
                Code::PolicyRefused,
                format!("choosing the service from {}", said.origin),
                format!("{} is not among the services that {} allows", said.value, allowed.origin),
            )))
        }
        _ => Ok(said),
    }
}

fn environment(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
    update: bool,
) -> Result<Sourced<Environment>> {
    let key = policy.environment_tag();
    let said = policy.environment().or_else(|| tag(facts, &key)).map(|said| name(said, "environment"));
    let before =
        decided.map(|decided| Sourced { value: decided.environment.clone(), origin: Origin::Decided });
    chosen(said, before, update).unwrap_or_else(|| Err(missing("environment", &key)))
}

/// What was decided before, or what is said now: an update prefers the latter.
fn chosen<T>(
    now: Option<Result<Sourced<T>>>,
    before: Option<Sourced<T>>,
    update: bool,
) -> Option<Result<Sourced<T>>> {
    match update {
        true => now.or(before.map(Ok)),
        false => before.map(Ok).or(now),
    }
}

fn branch(
    environment: Sourced<Environment>,
    environments: &Sourced<BTreeMap<String, String>>,
) -> Result<(Sourced<Environment>, Sourced<Branch>)> {
    let known = |name: &Environment| environments.value.get_key_value(name.as_str());
    let short = environment.value.short();
    let Some((name, branch)) = known(&environment.value).or_else(|| known(short.as_ref()?)) else {
        let allowed: Vec<&str> = environments.value.keys().map(String::as_str).collect();
        return Err(environment.origin.remedied(Error::new(
            Code::PolicyRefused,
            format!("choosing the environment from {}", environment.origin),
            format!(
                "{} is not an environment of the policy ({}): {}",
                environment.value,
                environments.origin,
                allowed.join(", ")
            ),
        )));
    };
    let invalid = |error| Error::new(Code::PolicyInvalid, "reading the policy's environments", error);
    let environment =
        Sourced { value: Environment::try_from(name.as_str()).map_err(invalid)?, origin: environment.origin };
    let branch = Sourced {
        value: Branch::try_from(branch.as_str()).map_err(invalid)?,
        origin: environments.origin.clone(),
    };
    Ok((environment, branch))
}

fn pinned(
    facts: &Facts,
    policy: &Policy,
    decided: Option<&Decision>,
) -> Result<Option<Sourced<CommitPrefix>>> {
    if let Some(decided) = decided {
        return Ok(Some(Sourced { value: decided.source.commit.clone().into(), origin: Origin::Decided }));
    }
    policy.commit().or_else(|| tag(facts, &policy.commit_tag())).map(|said| name(said, "commit")).transpose()
}
