//! Auto Scaling groups and their instance refresh, for a rollout: reads, starts and cancels. With the caller's credentials.

use super::call::{Failure, Refusal};
use super::unreached::{Faults, unreached_or_late};
use super::xml::Node;
use super::{Imds, clock, config_for, endpoint, query};
use crate::error::{Error, Result};
use crate::facts::{Group, GroupMember, GroupQuery, Network, Refresh, TargetHealth};
use crate::fault::{Fault, Phase};
use crate::machine::Change;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::plan::{CancelRefresh, StartRefresh};
use crate::secret::{ForeignText, Message, clean};

/// An API: its name in host names, signatures and permissions, and its version.
struct Api {
    name: &'static str,
    version: &'static str,
}

const GROUPS: Api = Api { name: "autoscaling", version: "2011-01-01" };
const TARGETS: Api = Api { name: "elasticloadbalancing", version: "2015-12-01" };
/// Of a group: AWS allows 50 of them, each is a call.
const MOST_TARGET_GROUPS: usize = 10;

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
        state: clean(&node.text("LifecycleState")),
        health: clean(&node.text("HealthStatus")),
    };
    Group {
        name: group.text("AutoScalingGroupName"),
        desired: number(group, "DesiredCapacity"),
        health_check: group.text("HealthCheckType"),
        members: group.members(&["Instances"]).iter().map(member).collect(),
        hooks: Vec::new(),
        target_groups: group.members(&["TargetGroupARNs"]).iter().map(|arn| arn.own_text()).collect(),
    }
}

/// What the load balancer says of each target. An instance in several target groups is healthy if it is so in all.
pub async fn target_health(
    imds: &Imds,
    group: &Group,
    region: Option<&str>,
    network: &Network,
) -> Result<Vec<TargetHealth>> {
    let mut all: Vec<TargetHealth> = Vec::new();
    for arn in group.target_groups.iter().take(MOST_TARGET_GROUPS) {
        let form = [("TargetGroupArn", arn.as_str())];
        let doing = "reading the health of the load balancer's targets";
        let root = ask_api(imds, &TARGETS, "DescribeTargetHealth", &form, (region, network), doing).await?;
        for target in root.members(&["DescribeTargetHealthResult", "TargetHealthDescriptions"]) {
            let text =
                |path: [&str; 2]| target.at(&path[..1]).map(|node| node.text(path[1])).unwrap_or_default();
            let (instance, state) = (text(["Target", "Id"]), text(["TargetHealth", "State"]));
            let reason = clean(&text(["TargetHealth", "Reason"]));
            let found = TargetHealth { instance, state: clean(&state), reason };
            match all.iter_mut().find(|known| known.instance == found.instance) {
                Some(known) if known.state == "healthy" => *known = found,
                Some(_) => {}
                None => all.push(found),
            }
        }
    }
    Ok(all)
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
    at: (Option<&str>, &Network),
    doing: &str,
) -> Result<Node> {
    ask_api(imds, &GROUPS, action, arguments, at, doing).await
}

async fn ask_api(
    imds: &Imds,
    api: &Api,
    action: &str,
    arguments: &[(&str, &str)],
    (region, network): (Option<&str>, &Network),
    doing: &str,
) -> Result<Node> {
    with_retries(RetryLimit::lasting(Phase::Fleet.seconds().duration()), async || {
        let config = config_for(region, None, imds, network).await?;
        let mut form = vec![("Action", action), ("Version", api.version)];
        form.extend(arguments);
        match query::ask(&config, api.name, &form).await {
            Ok(answer) => Node::parse(&answer)
                .ok_or_else(|| Fault::GroupUnreachable.error(doing, "the answer is not one of AWS")),
            Err(Failure::Refused(answer)) => {
                Err(clock::judged(refused(doing, (api.name, action), &answer), answer.date.as_deref()).await)
            }
            Err(Failure::Unreached(causes)) => {
                imds.renew();
                let server = endpoint::of(&config, api.name);
                Err(clock::judged(unreached_or_late(doing.to_owned(), &server, &causes, &FAULTS), None).await)
            }
        }
    })
    .await
}

fn refused(doing: &str, (service, action): (&str, &str), answer: &Refusal) -> Error {
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
            Message::from(format!("these credentials may not call {service}:{action}: ")).and(message)
        }
        _ if answer.code.is_empty() => Message::from(format!("it answers {}", answer.status)),
        _ => Message::from(ForeignText::message(&answer.code)).and(": ").and(message),
    };
    fault.error(doing, cause).retry_after(answer.retry_after)
}

const FAULTS: Faults = Faults { untrusted: Fault::GroupUntrusted, unreachable: Fault::GroupUnreachable };
