//! Reads the fleet memory: what the instances of one service and environment share below one S3 prefix.

use serde::de::DeserializeOwned;

use super::Selection;
use super::choice::{branch, environment, service};
use super::policy::{Flags, Policy};
use super::reads::{patience, region};
use crate::error::{Code, Error, Result};
use crate::facts::{
    Commit, Environment, Facts, FleetFailure, FleetKnown, FleetMemory, FleetPrefix, Listed, Network,
    S3Object, Service, records,
};
use crate::machine::{Observe, SecretPatience, blocking};
use crate::plan::Seconds;

/// Service and environment, as policy and tags name them.
fn named(facts: &Facts, policy: &Policy) -> Result<(Service, Environment)> {
    let service = service(facts, policy, None, true)?.value;
    let (environment, _) = branch(environment(facts, policy, None, true)?, &policy.environments())?;
    Ok((service, environment.value))
}

impl Selection {
    /// The places of what the instances share; `None` if the policy names no prefix.
    pub fn fleet_memory(&self) -> Option<FleetMemory> {
        let prefix = self.fleet.prefix.clone()?;
        Some(FleetMemory { prefix, service: self.service.clone(), environment: self.environment.clone() })
    }
}

/// The pinned and the last good commit. Nothing if the policy names no prefix.
pub async fn fleet(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    flags: &Flags,
    policy: &Policy,
) -> Result<FleetKnown> {
    let Some(memory) = selection.fleet_memory() else { return Ok(FleetKnown::default()) };
    let (pin, good) = (memory.pin(), memory.good());
    let wait = patience(selection, facts, flags, policy);
    let read = async |at: &S3Object| machine.object(at, region(facts), &selection.network, wait).await;
    let (pin_text, good_text) = tokio::try_join!(read(&pin), read(&good))?;
    Ok(FleetKnown {
        place: pin_text.is_some().then(|| pin.to_string()),
        pin: parsed(&pin, pin_text).await?,
        good: parsed(&good, good_text).await?,
    })
}

/// How often a commit failed on other instances within the last hour, and the newest of these failures.
pub async fn fleet_failures(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    (flags, policy): (&Flags, &Policy),
    commit: &Commit,
) -> Result<(usize, Option<FleetFailure>)> {
    let (Some(memory), Some(instance)) = (selection.fleet_memory(), &facts.instance) else {
        return Ok((0, None));
    };
    let below = memory.failures(commit);
    let wait = patience(selection, facts, flags, policy);
    let own = memory.failure(commit, &instance.id);
    let mut all = machine.objects(&below, region(facts), &selection.network, wait).await?;
    all.retain(|one| one.instance().is_some() && one.key != own.key && one.age < RECENT);
    let Some(newest) = all.iter().min_by_key(|one: &&Listed| one.age) else { return Ok((0, None)) };
    let at = S3Object { bucket: below.bucket, key: newest.key.clone() };
    let text = machine.object(&at, region(facts), &selection.network, wait).await?;
    // What it says is only for the message.
    Ok((all.len(), parsed(&at, text).await.ok().flatten()))
}

/// Whether the migration of a commit has begun on any instance of the group.
pub async fn fleet_migrated(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    (flags, policy): (&Flags, &Policy),
    commit: &Commit,
) -> Result<bool> {
    let Some(memory) = selection.fleet_memory() else { return Ok(false) };
    let wait = patience(selection, facts, flags, policy);
    let read = machine.object(&memory.migration(commit), region(facts), &selection.network, wait).await?;
    Ok(read.is_some())
}

/// Seconds. An older failure may have had a cause that is gone, such as a database that was down: after this time a few
/// instances try the commit again.
const RECENT: u64 = 3600;

/// An object of bootagent's own as its record.
pub async fn parsed<T: DeserializeOwned + Send + 'static>(
    at: &S3Object,
    text: Option<String>,
) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    let doing = format!("reading {at}");
    let parse = move || {
        records::parse(text.as_bytes())
            .map(Some)
            .map_err(|why| Error::new(Code::FleetInvalid, doing, why.to_string()))
    };
    blocking(parse).await
}

/// Reads the fleet memory for an operator: with the instance's role as root of an instance, else with the caller's own
/// credentials.
pub struct FleetReader<'a, M> {
    machine: &'a M,
    pub prefix: FleetPrefix,
    network: Network,
    region: Option<String>,
}

/// How long an operator waits.
const PATIENCE: SecretPatience = SecretPatience { time: Seconds(20), waits_for_permission: false };
/// More services and environments are not searched.
const MOST_MEMORIES: usize = 300;

impl<'a, M: Observe> FleetReader<'a, M> {
    pub async fn new(machine: &'a M, policy: &Policy) -> Result<Self> {
        let prefix = policy.fleet().0.prefix.ok_or_else(|| {
            let cause = "neither the policy nor a flag names the fleet memory";
            Error::new(Code::Usage, "reading the fleet memory", cause)
                .remedy("name it: --fleet s3://BUCKET/PATH, or fleet.prefix in the policy")
        })?;
        let instance = match machine.is_root() {
            true => machine.instance(Seconds(1)).await.ok(),
            false => None,
        };
        let region = instance.map(|instance| instance.region);
        Ok(FleetReader { machine, prefix, network: policy.network(), region })
    }

    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Those of the service and environment that flags or the policy name.
    pub fn memory(&self, facts: &Facts, policy: &Policy) -> Result<FleetMemory> {
        let (service, environment) = named(facts, policy).map_err(|error| match error.code() {
            Code::TagMissing => error.remedy("name it: --service and --environment"),
            _ => error,
        })?;
        Ok(FleetMemory { prefix: self.prefix.clone(), service, environment })
    }

    /// All that have objects below the prefix.
    pub async fn memories(&self) -> Result<Vec<FleetMemory>> {
        let mut all = Vec::new();
        for service in self.folders(&self.prefix.object("")).await? {
            let Ok(named) = Service::try_from(last(&service)) else { continue };
            let at = S3Object { key: service, ..self.prefix.object("") };
            for environment in self.folders(&at).await? {
                let Ok(environment) = Environment::try_from(last(&environment)) else { continue };
                let service = named.clone();
                all.push(FleetMemory { prefix: self.prefix.clone(), service, environment });
            }
            if all.len() > MOST_MEMORIES {
                break;
            }
        }
        Ok(all)
    }

    pub fn unselected(&self, instance: &str) -> S3Object {
        self.prefix.unselected_report(instance)
    }

    pub async fn known(&self, memory: &FleetMemory) -> Result<FleetKnown> {
        let (pin, good) = (memory.pin(), memory.good());
        let (pin_text, good_text) = tokio::try_join!(self.text(&pin), self.text(&good))?;
        Ok(FleetKnown {
            place: pin_text.is_some().then(|| pin.to_string()),
            pin: parsed(&pin, pin_text).await?,
            good: parsed(&good, good_text).await?,
        })
    }

    pub async fn text(&self, at: &S3Object) -> Result<Option<String>> {
        self.machine.object(at, self.region(), &self.network, PATIENCE).await
    }

    pub async fn list(&self, below: &S3Object) -> Result<Vec<Listed>> {
        self.machine.objects(below, self.region(), &self.network, PATIENCE).await
    }

    async fn folders(&self, at: &S3Object) -> Result<Vec<String>> {
        self.machine.folders(at, self.region(), &self.network, PATIENCE).await
    }
}

/// The last part of a folder's key.
fn last(folder: &str) -> &str {
    folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
