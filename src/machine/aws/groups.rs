//! Auto Scaling groups and their instance refresh, for a rollout: reads, starts and cancels. With the caller's credentials.

use super::call::{Failure, Refusal};
use super::unreached::{Faults, unreached_or_late};
use super::xml::Node;
use super::{Imds, clock, config_for, endpoint, query};
use crate::error::{Error, Result};
use crate::facts::{Group, GroupMember, GroupQuery, Network, Refresh};
use crate::fault::{Fault, Phase};
use crate::machine::Change;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::plan::{CancelRefresh, StartRefresh};
use crate::secret::{ForeignText, Message, clean};

const SERVICE: &str = "autoscaling";
const VERSION: &str = "2011-01-01";

/// The groups that fit, with their launch hooks.
pub async fn groups(
    imds: &Imds,
    find: &GroupQuery,
    region: Option<&str>,
    network: &Network,
) -> Result<Vec<Group>> {
    let names: Vec<(String, String)> = match find {
        GroupQuery::Named(name) => vec![("AutoScalingGroupNames.member.1".to_owned(), name.clone())],
        GroupQuery::Tagged(tags) => {
            let filter = |(index, (key, value)): (usize, &(String, String))| {
                let filter = format!("Filters.member.{}", index + 1);
                [
                    (format!("{filter}.Name"), format!("tag:{key}")),
                    (format!("{filter}.Values.member.1"), value.clone()),
                ]
            };
            tags.iter().enumerate().flat_map(filter).collect()
        }
    };
    let form: Vec<(&str, &str)> = names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let at = (region, network);
    let root =
        ask(imds, "DescribeAutoScalingGroups", &form, at, "looking for the Auto Scaling group").await?;
    let mut groups = Vec::new();
    for group in root.members(&["DescribeAutoScalingGroupsResult", "AutoScalingGroups"]) {
        let mut group = read(group);
        group.hooks = hooks(imds, &group.name, at).await?;
        groups.push(group);
    }
    Ok(groups)
}

fn read(group: &Node) -> Group {
    let member = |node: &&Node| GroupMember {
        id: node.text("InstanceId"),
        state: node.text("LifecycleState"),
        health: node.text("HealthStatus"),
    };
    Group {
        name: group.text("AutoScalingGroupName"),
        desired: number(group, "DesiredCapacity"),
        health_check: group.text("HealthCheckType"),
        members: group.members(&["Instances"]).iter().map(member).collect(),
        hooks: Vec::new(),
    }
}

fn number(node: &Node, name: &str) -> u32 {
    node.text(name).parse().unwrap_or(0)
}

async fn hooks(imds: &Imds, group: &str, at: (Option<&str>, &Network)) -> Result<Vec<String>> {
    let form = [("AutoScalingGroupName", group)];
    let root = ask(imds, "DescribeLifecycleHooks", &form, at, "reading the group's lifecycle hooks").await?;
    let hooks = root.members(&["DescribeLifecycleHooksResult", "LifecycleHooks"]);
    let launching =
        hooks.iter().filter(|hook| hook.text("LifecycleTransition") == "autoscaling:EC2_INSTANCE_LAUNCHING");
    Ok(launching.map(|hook| hook.text("LifecycleHookName")).collect())
}

/// The group's last refreshes, the newest first.
pub async fn refreshes(
    imds: &Imds,
    group: &str,
    region: Option<&str>,
    network: &Network,
) -> Result<Vec<Refresh>> {
    let form = [("AutoScalingGroupName", group), ("MaxRecords", "5")];
    let doing = "reading the group's instance refresh";
    let root = ask(imds, "DescribeInstanceRefreshes", &form, (region, network), doing).await?;
    let all = root.members(&["DescribeInstanceRefreshesResult", "InstanceRefreshes"]);
    let read = |node: &&Node| Refresh {
        id: node.text("InstanceRefreshId"),
        status: node.text("Status"),
        percentage: number(node, "PercentageComplete"),
        left: number(node, "InstancesToUpdate"),
        reason: clean(&node.text("StatusReason")),
    };
    Ok(all.iter().map(read).collect())
}

/// With the id of the refresh.
pub async fn start(imds: &Imds, start: &StartRefresh) -> Result<Change> {
    let (min, max) = (start.min_healthy.to_string(), start.max_healthy.to_string());
    let form = [
        ("AutoScalingGroupName", start.group.as_str()),
        ("Strategy", "Rolling"),
        ("Preferences.MinHealthyPercentage", &min),
        ("Preferences.MaxHealthyPercentage", &max),
        // Only the commit changes, which Auto Scaling does not know: every instance would match.
        ("Preferences.SkipMatching", "false"),
    ];
    let at = (start.access.region.as_deref(), &start.access.network);
    let root = ask(imds, "StartInstanceRefresh", &form, at, "starting the instance refresh").await?;
    let result = root.at(&["StartInstanceRefreshResult"]).map(|node| node.text("InstanceRefreshId"));
    Ok(Change::Changed(result.unwrap_or_default()))
}

/// A refresh that has ended already is cancelled, too.
pub async fn cancel(imds: &Imds, cancel: &CancelRefresh) -> Result<Change> {
    let form = [("AutoScalingGroupName", cancel.group.as_str())];
    let at = (cancel.access.region.as_deref(), &cancel.access.network);
    match ask(imds, "CancelInstanceRefresh", &form, at, "cancelling the instance refresh").await {
        Ok(_) => Ok(Change::Changed("cancelled".to_owned())),
        Err(error) if error.cause().judge(|cause| cause.contains("ActiveInstanceRefreshNotFound")) => {
            Ok(Change::Unchanged)
        }
        Err(error) => Err(error),
    }
}

async fn ask(
    imds: &Imds,
    action: &str,
    arguments: &[(&str, &str)],
    (region, network): (Option<&str>, &Network),
    doing: &str,
) -> Result<Node> {
    with_retries(RetryLimit::lasting(Phase::Fleet.seconds().duration()), async || {
        let config = config_for(region, None, imds, network).await?;
        let mut form = vec![("Action", action), ("Version", VERSION)];
        form.extend(arguments);
        match query::ask(&config, SERVICE, &form).await {
            Ok(answer) => Node::parse(&answer)
                .ok_or_else(|| Fault::GroupUnreachable.error(doing, "the answer is not one of Auto Scaling")),
            Err(Failure::Refused(answer)) => {
                Err(clock::judged(refused(doing, action, &answer), answer.date.as_deref()).await)
            }
            Err(Failure::Unreached(causes)) => {
                imds.renew();
                let server = endpoint::of(&config, SERVICE);
                Err(clock::judged(unreached_or_late(doing.to_owned(), &server, &causes, &FAULTS), None).await)
            }
        }
    })
    .await
}

fn refused(doing: &str, action: &str, answer: &Refusal) -> Error {
    let fault = match answer.code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Fault::GroupDenied,
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "ResourceContention" => {
            Fault::GroupUnreachable
        }
        "InvalidClientTokenId" | "SignatureDoesNotMatch" | "RequestExpired" | "ExpiredToken" => {
            Fault::RoleUnknown
        }
        _ if matches!(answer.status, 429 | 500..) => Fault::GroupUnreachable,
        _ => Fault::GroupRefused,
    };
    let message = ForeignText::message(&answer.message);
    let cause = match fault {
        Fault::GroupDenied => {
            Message::from(format!("these credentials may not call {SERVICE}:{action}: ")).and(message)
        }
        _ if answer.code.is_empty() => Message::from(format!("it answers {}", answer.status)),
        _ => Message::from(ForeignText::message(&answer.code)).and(": ").and(message),
    };
    fault.error(doing, cause).retry_after(answer.retry_after)
}

const FAULTS: Faults = Faults { untrusted: Fault::GroupUntrusted, unreachable: Fault::GroupUnreachable };
