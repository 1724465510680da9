//! The least that the role of an instance needs for what the policy and the manifest switch on, as an IAM policy. Pure.

use serde::Serialize;
use serde_json::{Value, json};

use crate::facts::{FleetMemory, ValuePlace, ValueSource};
use crate::observe::Selection;
use crate::observe::manifest::Manifest;
use crate::plan::container::ecr;
use crate::planner::runtime;

/// For which account, region and group the policy is. `*` stands for all.
#[derive(Clone, Debug)]
pub struct Scope {
    pub account: String,
    pub region: String,
    /// The Auto Scaling group; the policy's own name of it takes precedence.
    pub group: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    pub version: &'static str,
    pub statement: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub sid: &'static str,
    pub effect: &'static str,
    pub action: Vec<&'static str>,
    pub resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
}

impl Statement {
    fn new(sid: &'static str, action: &[&'static str], resource: Vec<String>) -> Self {
        Statement { sid, effect: "Allow", action: action.to_vec(), resource, condition: None }
    }
}

/// What the instance's role needs.
pub fn of_instance(
    selection: &Selection,
    manifest: &Manifest,
    sources: &[ValueSource],
    scope: &Scope,
) -> Document {
    let mut statements = Vec::new();
    let secrets = secrets(selection, manifest, sources, scope);
    if !secrets.is_empty() {
        statements.push(Statement::new("Secrets", &["secretsmanager:GetSecretValue"], secrets));
    }
    statements.extend(parameters(sources, scope));
    statements.extend(images(manifest, scope));
    statements.extend(hook(selection, scope));
    statements.extend(health(selection, scope));
    if let Some(memory) = selection.fleet_memory() {
        statements.extend(fleet(&memory, scope, selection));
    }
    statements.extend(evidence(selection, scope));
    Document { version: "2012-10-17", statement: statements }
}

/// What an operator needs for `bootagent why`, `fleet` and `rollout`.
pub fn of_operator(selection: &Selection, scope: &Scope) -> Document {
    let mut statements = Vec::new();
    if let Some(memory) = selection.fleet_memory() {
        let below = objects(&memory, scope, "*");
        let unselected = unselected(&memory, scope);
        statements.push(Statement::new("ReadFleetMemory", &["s3:GetObject"], vec![below, unselected]));
        statements.push(list(&memory, scope, memory.prefix.object("*").key));
        statements.push(Statement::new("Pin", &["s3:PutObject"], vec![objects(&memory, scope, "pin.json")]));
        if selection.copies.bundles.is_some() {
            let bundles = ["branch.bundle", "bundles/*"].map(|name| objects(&memory, scope, name));
            statements.push(Statement::new("Bundles", &["s3:PutObject"], bundles.into()));
        }
    }
    if let Some(credential) = &selection.credential {
        let secrets = vec![secret(credential, scope)];
        statements.push(Statement::new("GitCredential", &["secretsmanager:GetSecretValue"], secrets));
    }
    // These actions know no single groups.
    let describe = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:DescribeLifecycleHooks",
    ];
    statements.push(Statement::new("DescribeGroups", &describe, vec!["*".to_owned()]));
    statements.push(Statement::new(
        "TargetHealth",
        &["elasticloadbalancing:DescribeTargetHealth"],
        vec!["*".to_owned()],
    ));
    let refresh = ["autoscaling:CancelInstanceRefresh", "autoscaling:StartInstanceRefresh"];
    statements.push(Statement::new("Refresh", &refresh, vec![group(selection, scope)]));
    Document { version: "2012-10-17", statement: statements }
}

fn secrets(
    selection: &Selection,
    manifest: &Manifest,
    sources: &[ValueSource],
    scope: &Scope,
) -> Vec<String> {
    let own = manifest.secret.then_some(&selection.secret);
    let further = sources.iter().filter_map(|source| match &source.place {
        ValuePlace::Secret(name) => Some(name),
        _ => None,
    });
    let tokens = (!selection.registries.is_empty()).then_some(&selection.install_secret);
    let all = own.into_iter().chain(further).chain(&selection.credential).chain(tokens);
    all.chain(&selection.copies.mirror_credential)
        .chain(&selection.cache.secret)
        .map(|name| secret(name, scope))
        .collect()
}

/// Secrets Manager adds a hyphen and six characters to a secret's name. With `*` in their place, the policy would cover other
/// secrets, whose names only begin like this one.
fn secret(name: &str, scope: &Scope) -> String {
    match name.starts_with("arn:") {
        true => name.to_owned(),
        false => format!("{}:secret:{name}-??????", arn("secretsmanager", scope)),
    }
}

fn parameters(sources: &[ValueSource], scope: &Scope) -> Vec<Statement> {
    let place = |name: &str| match name.starts_with("arn:") {
        true => name.to_owned(),
        false => format!("{}:parameter/{}", arn("ssm", scope), name.trim_start_matches('/')),
    };
    let (mut single, mut below) = (Vec::new(), Vec::new());
    for source in sources {
        match &source.place {
            ValuePlace::Parameter(name) => single.push(place(name)),
            ValuePlace::Parameters(path) => below.extend([place(path), place(path) + "/*"]),
            ValuePlace::Secret(_) => {}
        }
    }
    let statement = |sid, action, resource: Vec<String>| {
        (!resource.is_empty()).then(|| Statement::new(sid, &[action], resource))
    };
    let single = statement("Parameters", "ssm:GetParameter", single);
    single.into_iter().chain(statement("ParameterPaths", "ssm:GetParametersByPath", below)).collect()
}

/// For an image of ECR.
fn images(manifest: &Manifest, scope: &Scope) -> Vec<Statement> {
    let image = runtime::named_image(manifest);
    let named = image.and_then(|image| image.split_once('/'));
    let Some((registry, path)) = named.and_then(|(host, path)| Some((ecr(host)?, path))) else {
        return Vec::new();
    };
    let repository = path.split(['@', ':']).next().unwrap_or(path);
    let scope = Scope { account: registry.account, region: registry.region, ..scope.clone() };
    let pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
    let repository = format!("{}:repository/{repository}", arn("ecr", &scope));
    vec![
        Statement::new("PullImage", &pull, vec![repository]),
        // It knows no single repositories.
        Statement::new("ImageToken", &["ecr:GetAuthorizationToken"], vec!["*".to_owned()]),
    ]
}

/// For a watcher that lets the group replace the instance.
fn health(selection: &Selection, scope: &Scope) -> Option<Statement> {
    selection.watch.as_ref().filter(|watch| watch.replace || watch.unhealthy_after.is_some())?;
    Some(Statement::new("Health", &["autoscaling:SetInstanceHealth"], vec![group(selection, scope)]))
}

/// For CloudWatch Logs and the CloudFormation stack. An instance writes streams of its own service and environment.
fn evidence(selection: &Selection, scope: &Scope) -> Vec<Statement> {
    let mut statements = Vec::new();
    if let Some(group) = &selection.evidence.log_group {
        let group = format!("{}:log-group:{group}", arn("logs", scope));
        let (service, environment) = (&selection.service, &selection.environment);
        let streams = [format!("{service}/{environment}/*"), "_unselected/*".to_owned()];
        let streams = streams.map(|stream| format!("{group}:log-stream:{stream}")).to_vec();
        let evidence = ["logs:CreateLogStream", "logs:PutLogEvents"];
        statements.push(Statement::new("Evidence", &evidence, streams));
    }
    if let Some(stack) = &selection.evidence.stack {
        let stack = format!("{}:stack/{stack}/*", arn("cloudformation", scope));
        statements.push(Statement::new("StackSignal", &["cloudformation:SignalResource"], vec![stack]));
    }
    statements
}

/// For the launch hook, and for the watcher's terminate hook.
fn hook(selection: &Selection, scope: &Scope) -> Option<Statement> {
    let of_watch = selection.watch.as_ref().and_then(|watch| watch.hook.as_ref());
    if selection.lifecycle.is_none() && of_watch.is_none() {
        return None;
    }
    let actions = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"];
    Some(Statement::new("LifecycleHook", &actions, vec![group(selection, scope)]))
}

fn group(selection: &Selection, scope: &Scope) -> String {
    let named = selection.lifecycle.as_ref().and_then(|hook| hook.group.clone());
    let name = named.or_else(|| scope.group.clone()).unwrap_or_else(|| "*".to_owned());
    format!("{}:autoScalingGroup:*:autoScalingGroupName/{name}", arn("autoscaling", scope))
}

/// An instance reads all of its service and environment, and writes what instances write: not the pin.
fn fleet(memory: &FleetMemory, scope: &Scope, selection: &Selection) -> Vec<Statement> {
    let written = ["good.json", "reports/*", "failures/*", "migrations/*"];
    let bundles = selection.copies.writes_bundles().then_some(&"bundles/*");
    let releases = selection.cache.writes().then_some(&"releases/*");
    let mut written: Vec<String> =
        written.iter().chain(bundles).chain(releases).map(|name| objects(memory, scope, name)).collect();
    written.push(unselected(memory, scope));
    vec![
        Statement::new("ReadFleetMemory", &["s3:GetObject"], vec![objects(memory, scope, "*")]),
        Statement::new("WriteFleetMemory", &["s3:PutObject"], written),
        list(memory, scope, memory.object("*").key),
    ]
}

/// Reports of runs that did not find out their service.
fn unselected(memory: &FleetMemory, scope: &Scope) -> String {
    let at = memory.prefix.unselected_report("*");
    format!("arn:{}:s3:::{}/{}", partition(&scope.region), at.bucket, at.key)
}

fn list(memory: &FleetMemory, scope: &Scope, below: String) -> Statement {
    let (bucket, _) = memory.prefix.parts();
    let bucket = format!("arn:{}:s3:::{bucket}", partition(&scope.region));
    let condition = Some(json!({ "StringLike": { "s3:prefix": [below] } }));
    Statement { condition, ..Statement::new("ListFleetMemory", &["s3:ListBucket"], vec![bucket]) }
}

fn objects(memory: &FleetMemory, scope: &Scope, name: &str) -> String {
    let at = memory.object(name);
    format!("arn:{}:s3:::{}/{}", partition(&scope.region), at.bucket, at.key)
}

fn arn(service: &str, scope: &Scope) -> String {
    format!("arn:{}:{service}:{}:{}", partition(&scope.region), scope.region, scope.account)
}

fn partition(region: &str) -> &'static str {
    [("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc")]
        .into_iter()
        .find(|(begin, _)| region.starts_with(begin))
        .map_or("aws", |(_, partition)| partition)
}
