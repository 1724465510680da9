//! Who a run is about: the machine, its instance, and what the policy lets them select.

use std::pin::Pin;
use std::time::Instant;

use super::records;
use crate::apply::Limit;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::machine::Observe;
use crate::observe::{self, Decision, Flags, NextBoot, Policy, Selection};
use crate::plan::Seconds;
use crate::planner;
use crate::report::Report;

/// The policy, and how long it lets all that follows last.
pub async fn begin<'a>(
    machine: &impl Observe,
    flags: &Flags,
    stop: Pin<&mut impl Future<Output = &'static str>>,
    report: &'a Report,
) -> Result<(Policy, Limit<'a>)> {
    let started = Instant::now();
    let limit = |budget: Seconds| Limit { until: started + budget.duration(), budget, report };
    let policy = limit(flags.budget()).hold(stop, observe::policy(machine, flags)).await?;
    let budget = policy.budget().value;
    Ok((policy.within(budget.duration()), limit(budget)))
}

/// Who it is about: the machine, its instance, and what the policy lets them select.
#[derive(Clone)]
pub struct Identified {
    pub policy: Policy,
    pub facts: Facts,
    pub selection: Selection,
    /// What this instance decided at its first boot.
    pub decided: Option<Decision>,
    pub here: bool,
}

/// Where it runs, and what earlier runs of this instance recorded: known before its tags are.
pub struct Arrived {
    pub policy: Policy,
    pub facts: Facts,
    pub decided: Option<Decision>,
    pub here: bool,
}

pub async fn identify(
    machine: &impl Observe,
    flags: &Flags,
    policy: Policy,
    report: &Report,
) -> Result<Identified> {
    let arrived = arrive(machine, flags, policy, report).await?;
    choose(machine, flags, arrived, report).await
}

pub async fn arrive(
    machine: &impl Observe,
    flags: &Flags,
    mut policy: Policy,
    report: &Report,
) -> Result<Arrived> {
    if !machine.is_root() || flags.overrides.any().is_some() {
        // No earlier run can have recorded one: better told before anything is waited for.
        policy.repository()?;
    }
    let programs = planner::runtime::programs();
    let mut facts =
        report.during("machine", "looking at the machine", observe::facts(machine, flags, &programs)).await?;
    let here = flags.overrides.facts.is_none();
    records::check(&facts, report)?;
    let asking = observe::instance(machine, flags, &facts, &policy);
    facts.instance = report.during("metadata", "waiting for instance metadata", asking).await?;
    let mut decided = None;
    if let Some(instance) = facts.instance.as_ref().filter(|_| here) {
        report.instance(instance);
        if machine.is_root() {
            policy = observe::recorded_flags(machine, policy, &instance.id, flags.forget).await?;
            decided = records::decided(machine, instance, report).await?;
        }
        policy.repository().map_err(|error| records::missing(&facts, before_a_first_run(error, flags)))?;
    }
    Ok(Arrived { policy, facts, decided, here })
}

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
    let mut selection = observe::select(&facts, &policy, decided.as_ref(), flags.anew())?;
    if decided.is_none() && !flags.update && here {
        decided = records::made_up(&facts, &policy, &mut selection, report)?;
    }
    if let Some(file) = &flags.overrides.env_file {
        // Errors about its keys name what was read.
        selection.secret = format!("--env-file {}", file.display());
    }
    planner::refuse_early(&facts, &selection)?;
    selection.next_boot = next_boot(&facts, &policy)?;
    report.selected(&selection, decided.is_some() && !flags.update);
    if here {
        let (passed, attempted) = planner::remembered(&facts, &selection.service);
        report.remembered(passed, attempted);
    }
    Ok(Identified { policy, facts, selection, decided, here })
}

/// On an instance whose user-data has not run, or names the repository itself, a dry run knows nothing of that.
fn before_a_first_run(error: Error, flags: &Flags) -> Error {
    match flags.dry_run {
        true => error.remedy(
            "no run of this instance recorded its flags yet: give those of the user-data here, too, \
             as in bootagent --dry-run --repository 'https://github.com/acme/{service}.git'",
        ),
        false => error,
    }
}

/// What the next boot needs: only an instance boots again by itself.
pub fn next_boot(facts: &Facts, policy: &Policy) -> Result<Option<NextBoot>> {
    let Some(instance) = &facts.instance else { return Ok(None) };
    let flags = policy.recordable()?;
    Ok(Some(NextBoot { instance: instance.id.clone(), flags, installed: facts.installed }))
}
