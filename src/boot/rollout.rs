//! The parts of a rollout: what is to be rolled out where, the pin, and the instance refresh. `verbs/rollout.rs` has their order.

use crate::apply;
use crate::error::{Code, Error, Result};
use crate::facts::{
    Commit, CommitPrefix, Facts, FleetGood, FleetKnown, FleetMemory, FleetPin, Group, GroupQuery, Refresh,
    TargetHealth,
};
use crate::machine::{Change, Host, Observe};
use crate::observe::{self, Flags, FleetReader, Policy, Selection};
use crate::plan::{Action, CancelRefresh, FleetAccess, PutObject, StartRefresh};
use crate::planner;

/// Which commit is rolled out.
#[derive(Clone, Debug)]
pub enum Which {
    /// The branch's newest.
    Newest,
    Named(CommitPrefix),
    /// The one before the present one.
    Before,
}

/// A rollout that can begin.
pub struct Rollout {
    pub memory: FleetMemory,
    pub commit: Commit,
    /// What the fleet memory knew before it.
    pub known: FleetKnown,
    pub group: Group,
    /// What an operator should know before it begins.
    pub warnings: Vec<String>,
    /// On how many instances a commit may fail.
    pub attempts: u32,
    access: FleetAccess,
}

const DOING: &str = "preparing the rollout";

/// Finds out commit and group, and refuses what cannot work. Changes nothing.
pub async fn prepare(
    machine: &impl Observe,
    flags: &Flags,
    which: &Which,
    group: Option<&str>,
) -> Result<Rollout> {
    let policy = observe::policy(machine, flags).await?;
    let reader = FleetReader::new(machine, &policy).await?;
    let instance = match reader.region() {
        Some(_) => machine.instance(crate::plan::Seconds(5)).await.ok(),
        None => None,
    };
    let facts = Facts { instance, ..Facts::default() };
    let selection = observe::select(&facts, &policy, None, true).map_err(|error| match error.code() {
        Code::TagMissing => error.remedy("name it: --service and --environment"),
        _ => error,
    })?;
    let memory = reader.memory(&facts, &policy)?;
    let known = reader.known(&memory).await?;
    let commit = chosen(machine, (flags, &policy), &facts, &selection, which, &known).await?;
    refuse_another_ref(&selection, &commit)?;
    let query = query(&policy, &memory, group);
    let found = machine.groups(&query, reader.region(), reader.network()).await?;
    let group = only(found, &query)?;
    let refreshes = machine.refreshes(&group.name, reader.region(), reader.network()).await?;
    if let Some(refresh) = refreshes.into_iter().find(Refresh::is_active) {
        let cause = format!("an instance refresh of {} is active already ({})", group.name, refresh.status);
        return Err(Error::new(Code::RolloutRefused, DOING, cause)
            .remedy("wait until it has ended, or cancel it: aws autoscaling cancel-instance-refresh"));
    }
    let warnings = warnings(&group, &selection, &known, &commit)?;
    let access = FleetAccess { region: reader.region().map(str::to_owned), network: policy.network() };
    Ok(Rollout { memory, commit, known, group, warnings, attempts: selection.fleet.attempts, access })
}

/// Instances take the `ref` of their policy before the pin: the rollout would replace them, and they would run that commit.
fn refuse_another_ref(selection: &Selection, commit: &Commit) -> Result<()> {
    let Some(named) = selection.pinned.as_ref().filter(|named| !named.fits(commit)) else { return Ok(()) };
    let cause = format!("the policy's ref names {named}, which counts before the pin of a rollout");
    Err(Error::new(Code::RolloutRefused, DOING, cause)
        .remedy("remove ref from the policy of the instances, or roll out that commit"))
}

async fn chosen(
    machine: &impl Observe,
    (flags, policy): (&Flags, &Policy),
    facts: &Facts,
    selection: &Selection,
    which: &Which,
    known: &FleetKnown,
) -> Result<Commit> {
    match which {
        Which::Newest => observe::tip(machine, flags, selection, facts, policy).await,
        Which::Named(commit) => {
            let selection = Selection { pinned: Some(commit.clone()), ..selection.clone() };
            // Fetched, and so on the branch.
            let fetched = observe::source(machine, flags, &selection, facts, policy, Vec::new()).await?;
            Ok(fetched.source.commit)
        }
        Which::Before => known.before().cloned().ok_or_else(|| {
            let cause =
                "the fleet memory knows no commit before the present one that no rollout went back from";
            Error::new(Code::RolloutRefused, DOING, cause).remedy("name it: --commit COMMIT")
        }),
    }
}

/// How the group of a service and environment is found.
pub fn query(policy: &Policy, memory: &FleetMemory, group: Option<&str>) -> GroupQuery {
    let of_policy = policy.lifecycle().0.and_then(|hook| hook.group);
    match group.map(str::to_owned).or(of_policy) {
        Some(name) => GroupQuery::Named(name),
        None => GroupQuery::Tagged(vec![
            (policy.service_tag(), memory.service.to_string()),
            (policy.environment_tag(), memory.environment.to_string()),
        ]),
    }
}

/// The only group that was found.
pub fn only(mut found: Vec<Group>, query: &GroupQuery) -> Result<Group> {
    let looked = match query {
        GroupQuery::Named(name) => format!("of the name {name}"),
        GroupQuery::Tagged(tags) => {
            let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("with the tags {}", tags.join(" and "))
        }
    };
    match (found.len(), found.pop()) {
        (1, Some(group)) => Ok(group),
        (count, _) => {
            let cause = format!("{count} Auto Scaling groups {looked} were found");
            Err(Error::new(Code::RolloutRefused, DOING, cause).remedy("name the group: --group NAME"))
        }
    }
}

fn warnings(
    group: &Group,
    selection: &Selection,
    known: &FleetKnown,
    commit: &Commit,
) -> Result<Vec<String>> {
    let hook = selection.lifecycle.as_ref().map(|hook| hook.hook.as_str());
    let has_hook = hook.map_or(!group.hooks.is_empty(), |hook| group.hooks.iter().any(|name| name == hook));
    if !has_hook {
        let cause = match hook {
            Some(hook) => format!("the group {} has no launch lifecycle hook {hook}", group.name),
            None => format!("the group {} has no launch lifecycle hook", group.name),
        };
        return Err(Error::new(Code::RolloutRefused, DOING, cause).remedy(
            "add it (docs/how-to/use-an-auto-scaling-group.md): without it, Auto Scaling replaces healthy instances by ones that never serve",
        ));
    }
    let in_service = group.in_service();
    let mut warnings = Vec::new();
    if group.health_check != "ELB" {
        warnings.push(format!(
            "the group's health check is {}: it does not see a service that fails later",
            group.health_check
        ));
    }
    if in_service < group.desired as usize {
        warnings.push(format!("only {in_service} of {} instances are in service", group.desired));
    }
    if group.desired == 0 {
        warnings.push("the group has no instance: the commit is only pinned".to_owned());
    }
    if known.pin.as_ref().is_some_and(|pin| pin.commit == *commit) {
        warnings.push(
            "this commit is pinned already: its instances are replaced by instances of the same commit"
                .to_owned(),
        );
    }
    Ok(warnings)
}

/// Replaces the pin: instances that are launched from now on take its commit.
pub async fn pin(machine: &impl Host, rollout: &Rollout, pin: &FleetPin) -> Result<()> {
    let text = planner::record(pin)?;
    let put = PutObject { at: rollout.memory.pin(), text, access: rollout.access.clone() };
    apply::once(machine, &Action::PutObject(put)).await.map(drop)
}

/// Starts the instance refresh; its id.
pub async fn start(machine: &impl Host, rollout: &Rollout) -> Result<String> {
    // New instances first: the capacity never falls. AWS allows at most 100 percent more, which a group of one instance needs.
    let max_healthy = if rollout.group.desired <= 1 { 200 } else { 110 };
    let start = StartRefresh {
        group: rollout.group.name.clone(),
        min_healthy: 100,
        max_healthy,
        access: rollout.access.clone(),
    };
    match apply::once(machine, &Action::StartRefresh(start)).await? {
        Change::Changed(id) => Ok(id),
        Change::Unchanged => Ok(String::new()),
    }
}

pub async fn cancel(machine: &impl Host, rollout: &Rollout) -> Result<()> {
    let cancel = CancelRefresh { group: rollout.group.name.clone(), access: rollout.access.clone() };
    apply::once(machine, &Action::CancelRefresh(cancel)).await.map(drop)
}

/// The state of the refresh with this id. Auto Scaling may not list a new one at once.
pub async fn state(machine: &impl Observe, rollout: &Rollout, id: &str) -> Result<Refresh> {
    let FleetAccess { region, network } = &rollout.access;
    let refreshes = machine.refreshes(&rollout.group.name, region.as_deref(), network).await?;
    let pending = Refresh { id: id.to_owned(), status: "Pending".to_owned(), ..Refresh::default() };
    Ok(refreshes.into_iter().find(|refresh| refresh.id == id).unwrap_or(pending))
}

/// What the load balancer says of the group's instances; `None` if it cannot be asked now.
pub async fn targets(machine: &impl Observe, rollout: &Rollout) -> Option<Vec<TargetHealth>> {
    let FleetAccess { region, network } = &rollout.access;
    let asking = machine.target_health(&rollout.group, region.as_deref(), network);
    tokio::time::timeout(ASKING, asking).await.ok()?.ok()
}

/// A look at the load balancer is only for the operator: it must not delay what a rollout does.
const ASKING: std::time::Duration = std::time::Duration::from_secs(3);

/// Whether the new commit was healthy on an instance. If that cannot be read, it may have been.
pub async fn was_good(machine: &impl Observe, rollout: &Rollout) -> bool {
    let FleetAccess { region, network } = &rollout.access;
    let patience =
        crate::machine::SecretPatience { time: crate::plan::Seconds(5), waits_for_permission: false };
    let at = rollout.memory.good();
    let read = async {
        let text = machine.object(&at, region.as_deref(), network, patience).await?;
        observe::parsed::<FleetGood>(&at, text).await
    };
    read.await.map_or(true, |good| good.is_some_and(|good| good.commit == rollout.commit))
}

/// On which instances the commit failed in this rollout: their ids.
pub async fn failures(machine: &impl Observe, rollout: &Rollout, seconds: u64) -> Result<Vec<String>> {
    let FleetAccess { region, network } = &rollout.access;
    let below = rollout.memory.failures(&rollout.commit);
    let patience =
        crate::machine::SecretPatience { time: crate::plan::Seconds(5), waits_for_permission: false };
    let all = machine.objects(&below, region.as_deref(), network, patience).await?;
    Ok(all
        .iter()
        .filter(|one| one.age <= seconds)
        .filter_map(|one| one.instance().map(str::to_owned))
        .collect())
}
