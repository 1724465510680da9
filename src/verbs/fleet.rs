//! `bootagent fleet`: lists the instances of a service and environment: the reports of their last runs, and what Auto Scaling and
//! the load balancer say of them, if the caller may ask.

use serde::Serialize;

use crate::boot::rollout;
use crate::cli::{FleetArgs, Output};
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Facts, FleetKnown, FleetMemory, Group, TargetHealth};
use crate::machine::{LocalHost, Observe};
use crate::observe::{self, FleetReader, Policy};
use crate::report::status::{State, Status};
use crate::report::view;
use crate::report::{print, tell};

/// The newest reports that are shown: groups are smaller, and reports of terminated instances stay.
const MOST: usize = 100;

pub async fn fleet(args: &FleetArgs) -> u8 {
    let shown = read(args).await.and_then(|fleet| match args.output {
        Output::Text => print(&text(&fleet)),
        Output::Json => {
            let text = serde_json::to_string_pretty(&fleet);
            print(&(text.map_err(|error| Error::new(Code::Bug, "printing the fleet", error))? + "\n"))
        }
    });
    match shown {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

#[derive(Serialize)]
struct Fleet {
    schema: u32,
    #[serde(flatten)]
    known: FleetKnown,
    /// The Auto Scaling group; absent if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// The newest report first; instances without a report at the end.
    instances: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    instance: String,
    /// That of Auto Scaling, such as `InService`; absent if the instance is not in the group, or the group cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle: Option<String>,
    /// What the load balancer says, such as `healthy`, or `unhealthy (Target.Timeout)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// What the load balancer's reason means.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_means: Option<&'static str>,
    /// Of the last run; absent without a report, like `age`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// The commit that serves, or that the last run wanted.
    commit: Option<Commit>,
    /// Seconds since the report was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u64>,
    /// The code of the last run's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn read(args: &FleetArgs) -> Result<Fleet> {
    let machine = LocalHost::observer();
    let flags = args.at.flags();
    let policy = observe::policy(&machine, &flags).await?;
    let reader = FleetReader::new(&machine, &policy).await?;
    let memory = reader.memory(&Facts::default(), &policy)?;
    let known = reader.known(&memory).await?;
    let mut reports = reader.list(&memory.reports()).await?;
    reports.sort_by_key(|report| report.age);
    let mut instances = Vec::new();
    for report in reports.iter().take(MOST) {
        let Some(instance) = report.instance() else { continue };
        // A report that cannot be read, of another version for example, hides no other one.
        let text = reader.text(&memory.report(instance)).await.ok().flatten();
        let status = text.and_then(|text| Status::of_another_machine(&text).ok());
        instances.push(match status {
            Some(status) => member(instance, report.age, status),
            None => Member { age: Some(report.age), ..Member::silent(instance) },
        });
    }
    let group = match group(&machine, &policy, &reader, &memory).await {
        Ok((group, health)) => {
            join(&mut instances, &group, &health);
            Some(group.name)
        }
        Err(error) => {
            tell(format_args!("note: the states of the group are not shown: {}", error.in_public()));
            None
        }
    };
    Ok(Fleet { schema: 1, known, group, instances })
}

/// The group, and what the load balancer says of its instances.
async fn group(
    machine: &LocalHost,
    policy: &Policy,
    reader: &FleetReader<'_, LocalHost>,
    memory: &FleetMemory,
) -> Result<(Group, Vec<TargetHealth>)> {
    let query = rollout::query(policy, memory, None);
    let found = machine.groups(&query, reader.region(), reader.network()).await?;
    let group = rollout::only(found, &query)?;
    let health = machine.target_health(&group, reader.region(), reader.network()).await;
    let health = health.unwrap_or_else(|error| {
        tell(format_args!("note: the load balancer's view is not shown: {}", error.in_public()));
        Vec::new()
    });
    Ok((group, health))
}

/// Adds the states of the group's instances, and those that have not reported.
fn join(instances: &mut Vec<Member>, group: &Group, health: &[TargetHealth]) {
    let silent = |id: &str| !instances.iter().any(|member| member.instance == id);
    let new = group.members.iter().filter(|member| silent(&member.id));
    let new: Vec<Member> = new.map(|member| Member::silent(&member.id)).collect();
    instances.extend(new);
    for member in instances {
        let of_group = group.members.iter().find(|one| one.id == member.instance);
        member.lifecycle = of_group.map(|one| match one.health.as_str() {
            "Healthy" | "" => one.state.clone(),
            health => format!("{} ({health})", one.state),
        });
        let target = health.iter().find(|one| one.instance == member.instance);
        member.target = target.map(|one| match one.reason.as_str() {
            "" => one.state.clone(),
            reason => format!("{} ({reason})", one.state),
        });
        member.target_means = target.and_then(TargetHealth::means);
    }
}

impl Member {
    /// One that has not reported.
    fn silent(instance: &str) -> Member {
        let instance = instance.to_owned();
        Member {
            instance,
            lifecycle: None,
            target: None,
            target_means: None,
            state: None,
            commit: None,
            age: None,
            error: None,
        }
    }
}

fn member(instance: &str, age: u64, status: Status) -> Member {
    Member {
        state: Some(status.state),
        commit: status.serving.or(status.commit),
        age: Some(age),
        error: status.error.map(|error| error.code),
        ..Member::silent(instance)
    }
}

fn text(fleet: &Fleet) -> String {
    let commit = |commit: Option<&Commit>| commit.map_or("none", |commit| commit.short()).to_owned();
    let pin = fleet.known.pin.as_ref().map(|pin| &pin.commit);
    let good = fleet.known.good.as_ref();
    let mut lines = vec![format!(
        "pinned: {}, last good: {} (before it: {})",
        commit(pin),
        commit(good.map(|good| &good.commit)),
        commit(good.and_then(|good| good.before.as_ref()))
    )];
    let in_group = fleet.group.is_some();
    let row = |columns: [&str; 7]| {
        let [instance, lifecycle, target, commit, state, age, error] = columns;
        let group = if in_group { format!("{lifecycle:16} {target:12} ") } else { String::new() };
        format!("{instance:20} {group}{commit:13} {state:23} {age:12} {error}")
    };
    lines.push(row(["INSTANCE", "GROUP", "TARGET", "COMMIT", "LAST RUN", "REPORTED", "ERROR"]));
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    for member in &fleet.instances {
        let age = member.age.map(|age| view::age(age) + " ago");
        lines.push(row([
            &member.instance,
            &or(&member.lifecycle, "not in it"),
            &or(&member.target, "-"),
            &commit(member.commit.as_ref()),
            member.state.map_or("no report", |state| state.name()),
            &or(&age, "-"),
            member.error.as_deref().unwrap_or_default(),
        ]));
    }
    let means = fleet.instances.iter().filter_map(|member| Some((&member.instance, member.target_means?)));
    lines.extend(means.map(|(instance, means)| format!("{instance}: {means}")));
    if fleet.instances.is_empty() {
        lines.push("no instance has reported yet".to_owned());
    }
    lines.into_iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::GroupMember;

    fn in_group(id: &str, state: &str, health: &str) -> GroupMember {
        GroupMember { id: id.into(), state: state.into(), health: health.into() }
    }

    #[test]
    fn states_of_the_group_stand_beside_the_reports() {
        let members =
            vec![in_group("i-1", "InService", "Healthy"), in_group("i-3", "Pending:Wait", "Unhealthy")];
        let group = Group { name: "auth".into(), members, ..Group::default() };
        let unhealthy = TargetHealth {
            instance: "i-1".into(),
            state: "unhealthy".into(),
            reason: "Target.Timeout".into(),
        };
        let mut instances = vec![Member::silent("i-1"), Member::silent("i-2")];
        join(&mut instances, &group, &[unhealthy]);
        let seen: Vec<_> = instances
            .iter()
            .map(|one| (one.instance.as_str(), one.lifecycle.as_deref(), one.target.as_deref()))
            .collect();
        let expected = [
            ("i-1", Some("InService"), Some("unhealthy (Target.Timeout)")),
            ("i-2", None, None),
            ("i-3", Some("Pending:Wait (Unhealthy)"), None),
        ];
        assert_eq!(seen, expected);
        let fleet = Fleet { schema: 1, known: FleetKnown::default(), group: Some(group.name), instances };
        let shown = text(&fleet);
        let gone = shown.lines().find(|line| line.starts_with("i-2")).unwrap();
        assert!(shown.contains("i-1: the health check gets no answer in time"), "{shown}");
        assert!(gone.contains("not in it") && gone.contains("no report"), "{shown}");
        let alone = text(&Fleet { group: None, ..fleet });
        assert!(!alone.contains("TARGET") && !alone.contains("not in it"), "{alone}");
    }
}
