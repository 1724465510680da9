//! Finds out what a run deploys: reads the machine, the instance and its tags, and selects service and environment as
//! the policy allows. Changes nothing.

use std::pin::{Pin, pin};
use std::time::Instant;

use super::records;
use crate::apply::Limit;
use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::machine::Observe;
use crate::observe::{self, Decision, Flags, NextBoot, Policy, Selection};
use crate::plan::Seconds;
use crate::planner;
use crate::report::Report;

/// Reads the policy, and the time limit of the run from it.
pub async fn begin<'a>(
    machine: &impl Observe,
    flags: &Flags,
    stop: Pin<&mut impl Future<Output = &'static str>>,
    report: &'a Report,
) -> Result<(Policy, Limit<'a>)> {
    let started = Instant::now();
    let limit = |budget: Seconds| Limit { until: started + budget.duration(), budget, report };
    let policy = limit(flags.budget()).run(stop, observe::policy(machine, flags)).await?;
    let budget = policy.budget().value;
    Ok((policy.within(budget.duration()), limit(budget)))
}

/// All that is known before the commit is fetched.
#[derive(Clone)]
pub struct Identified {
    pub policy: Policy,
    pub facts: Facts,
    pub selection: Selection,
    /// Service, environment and commit to which an earlier run pinned this instance.
    pub decided: Option<Decision>,
    /// The facts are this machine's, and not from `--facts`.
    pub here: bool,
}

/// All that is known before the tags are read.
pub struct Arrived {
    pub policy: Policy,
    pub facts: Facts,
    pub decided: Option<Decision>,
    pub here: bool,
}

/// Both parts: `arrive` and `choose`.
pub async fn identify(
    machine: &impl Observe,
    flags: &Flags,
    policy: Policy,
    report: &Report,
) -> Result<Identified> {
    let arrived = arrive(machine, flags, policy, report).await?;
    choose(machine, flags, arrived, report).await
}

/// Reads the machine, the instance, and what earlier runs recorded.
pub async fn arrive(
    machine: &impl Observe,
    flags: &Flags,
    mut policy: Policy,
    report: &Report,
) -> Result<Arrived> {
    let may_need_none = observe::may_need_no_repository(machine, flags);
    if !may_need_none && (!machine.is_root() || flags.overrides.any().is_some()) {
        // No earlier run can have recorded a repository, so fail before the waits for IMDS.
        policy.repository()?;
    }
    let here = flags.overrides.facts.is_none();
    let facts = surveyed(machine, flags, &policy, report).await?;
    let mut decided = None;
    if let Some(instance) = facts.instance.as_ref().filter(|_| here) {
        report.instance(instance);
        if machine.is_root() {
            policy = observe::recorded_flags(machine, policy, &instance.id, flags.forget).await?;
            decided = records::decided(machine, instance, report).await?;
        }
        if !may_need_none {
            policy.repository().map_err(|error| without(error, &facts, flags))?;
        }
    }
    Ok(Arrived { policy, facts, decided, here })
}

/// The machine and its instance. Both are read at once; an error of the machine does not wait for IMDS.
async fn surveyed(machine: &impl Observe, flags: &Flags, policy: &Policy, report: &Report) -> Result<Facts> {
    let programs = planner::runtime::programs();
    let surveying = observe::facts(machine, flags, &programs);
    let surveying = report.during("machine", "inspecting the machine", surveying);
    if flags.overrides.facts.is_some() {
        let facts = surveying.await?;
        records::check(&facts, report)?;
        return Ok(facts);
    }
    let mut surveying = pin!(surveying);
    let asking = observe::instance(machine, flags, policy);
    let mut asking = pin!(report.during("metadata", "waiting for IMDS", asking));
    let mut told = None;
    let facts = loop {
        tokio::select! {
            facts = &mut surveying => break facts?,
            instance = &mut asking, if told.is_none() => told = Some(instance),
        }
    };
    records::check(&facts, report)?;
    let instance = match told {
        Some(told) => told?,
        None => asking.await?,
    };
    Ok(Facts { instance, ..facts })
}

/// Waits for the tags, and selects service, environment and commit.
pub async fn choose(
    machine: &impl Observe,
    flags: &Flags,
    arrived: Arrived,
    report: &Report,
) -> Result<Identified> {
    let Arrived { policy, mut facts, mut decided, here } = arrived;
    if here && facts.instance.is_some() && facts.tags.is_none() {
        let asking = observe::tags(machine, &policy, decided.as_ref());
        let what = format!("waiting for the tags {}", policy.needed_tags().join(" and "));
        facts.tags = Some(report.during("tags", &what, asking).await?);
    }
    if let Some(instance) = facts.instance.as_ref().filter(|_| here && policy.lifecycle().0.is_some()) {
        let asking = observe::lifecycle(machine, instance, policy.wait());
        facts.lifecycle =
            report.during("metadata", "reading the Auto Scaling state from IMDS", asking).await?;
    }
    let service = observe::selected_service(&facts, &policy, decided.as_ref(), flags.anew())?;
    let (tables, needs_none) = (planner::runtime::tables(), planner::runtime::needs_no_repository);
    facts.own_manifest = observe::own_manifest(machine, flags, &service, tables, needs_none).await?;
    let selection = observe::select(&facts, &policy, decided.as_ref(), flags.anew());
    let mut selection = selection.map_err(|error| without(error, &facts, flags))?;
    report.chosen(&selection);
    if here && facts.instance.is_some() {
        let of = (flags, &policy);
        let selecting = super::fleet::select(machine, of, &mut facts, &mut decided, selection, report);
        selection = Box::pin(selecting).await?;
    }
    if decided.is_none() && !flags.update && here {
        decided = records::replace_lost_decision(&facts, &policy, &mut selection, report)?;
    }
    if let Some(file) = &flags.overrides.env_file {
        // Errors about keys then name the file, not a secret.
        selection.secret = format!("--env-file {}", file.display());
    }
    planner::refuse_early(&facts, &selection)?;
    selection.bakes = flags.bake;
    if flags.bake {
        planner::refuse_used(&facts, decided.is_some())?;
    }
    selection.next_boot = next_boot(&facts, &policy, flags)?;
    report.selected(&selection, decided.is_some() && !flags.update);
    if here {
        let (passed, attempted) = planner::remembered(&facts, &selection.service);
        report.remembered(passed, attempted);
    }
    Ok(Identified { policy, facts, selection, decided, here })
}

/// The error of a policy without a repository, with what this machine and this run say about its cause.
fn without(error: Error, facts: &Facts, flags: &Flags) -> Error {
    match error.code() {
        Code::PolicyNoRepository => records::missing(facts, before_a_first_run(error, flags)),
        _ => error,
    }
}

/// Adds a remedy for a dry run on an instance on which no run has recorded its flags: the repository may be named in
/// user-data only.
fn before_a_first_run(error: Error, flags: &Flags) -> Error {
    match flags.dry_run {
        true => error.remedy(
            "no run on this instance has recorded its flags yet: add the flags of the user-data, \
             as in bootagent --dry-run --repository 'https://github.com/acme/{service}.git'",
        ),
        false => error,
    }
}

/// What is recorded for the next boot; `None` if this machine is not an instance, or is only the builder of an image.
pub fn next_boot(facts: &Facts, policy: &Policy, flags: &Flags) -> Result<Option<NextBoot>> {
    let Some(instance) = facts.instance.as_ref().filter(|_| !flags.bake) else { return Ok(None) };
    let flags = policy.recordable()?;
    Ok(Some(NextBoot { instance: instance.id.clone(), flags, installed: facts.installed }))
}
