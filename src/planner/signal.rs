//! The launch lifecycle hook of the instance's Auto Scaling group: whether this instance waits at it, the heartbeats
//! beside the steps, and the signal as the last step of a run and of its recovery.

use super::draft::Wanted;
use super::fleet;
use super::steps::Steps;
use crate::facts::Lifecycle;
use crate::fault::Phase;
use crate::plan::{Action, Keepalive, LifecycleHook, LifecycleResult, Record, Seconds, Signal, layout};

/// AWS gives it to every instance of a group.
const GROUP_TAG: &str = "aws:autoscaling:groupName";
const IN_SERVICE: &str = "InService";

/// Whether the instance may wait at the hook of the policy.
enum Launch<'a> {
    /// There is no hook, or an earlier run completed it.
    Done,
    /// The reason why the hook is not completed.
    NotHere(String),
    /// The name of the group, and the state that the instance goes to.
    Waits { group: &'a str, target: &'a str },
}

/// Heartbeats, if the instance may wait at the hook.
pub fn keepalive(wanted: &Wanted) -> Option<Keepalive> {
    let timeout = wanted.selection.lifecycle.as_ref()?.heartbeat_timeout;
    // If one heartbeat fails, the next one is still in time.
    Some(Keepalive { at: hook(wanted)?, every: Seconds((timeout.0 / 3).max(1)) })
}

/// Adds the last step of a run, after the health check and the record that the deployment was healthy: a run that is
/// killed before it completes the hook is repeated.
pub fn proceed(steps: &mut Steps, wanted: &Wanted) {
    let why = "the instance may go into service: the service is healthy";
    add(steps, wanted, "signal", why, LifecycleResult::Continue, &["good"]);
}

/// Adds the last step of a run that prepares the instance for a warm pool.
pub fn pool(steps: &mut Steps, wanted: &Wanted) {
    let why = "the instance may go into the warm pool: its release is complete";
    add(steps, wanted, "signal", why, LifecycleResult::Continue, &["finish"]);
}

/// Adds the step that gives up an instance that could not be prepared.
pub fn give_up(steps: &mut Steps, wanted: &Wanted) {
    let why = "nothing is prepared: Auto Scaling terminates the instance; not if the run was only cancelled";
    abandon(steps, wanted, why);
}

/// Whether the instance is on its way into a warm pool, or in it.
pub fn enters_pool(wanted: &Wanted) -> bool {
    let Wanted { facts, selection, .. } = wanted;
    let target = facts.lifecycle.target.as_deref().filter(|_| facts.instance.is_some());
    selection.lifecycle.is_some() && target.is_some_and(enters_warm_pool)
}

/// Adds the last step of a recovery. If it goes back to a deployment that was healthy on this instance, the instance may
/// go into service with that; otherwise nothing serves.
pub fn end_recovery(steps: &mut Steps, wanted: &Wanted) {
    if steps.has("health-check-back") {
        let why = "the instance may go into service: the previous deployment is healthy again";
        add(steps, wanted, "signal-back", why, LifecycleResult::Continue, &["health-check-back"]);
    } else if steps.has("stop") && fleet::abandons(wanted.selection) {
        let why = "nothing serves: Auto Scaling terminates the instance; not if the run was only cancelled";
        abandon(steps, wanted, why);
    }
}

/// Needs no other step: the group launches another instance at once, and does not wait until a program that ignores SIGTERM is
/// killed here, or a large directory is removed.
fn abandon(steps: &mut Steps, wanted: &Wanted, why: &str) {
    add(steps, wanted, "signal-back", why, LifecycleResult::Abandon, &[]);
}

fn add(steps: &mut Steps, wanted: &Wanted, id: &str, why: &str, result: LifecycleResult, after: &[&str]) {
    if let Some(at) = hook(wanted) {
        let signal = Action::Signal(Signal { at, result });
        steps.add(id, why, signal).after(after).within(Phase::Signal);
    }
}

/// Notes for an operator.
pub fn notes(wanted: &Wanted) -> Vec<String> {
    let Some(policy) = &wanted.selection.lifecycle else { return Vec::new() };
    let note = match launch(wanted) {
        Launch::NotHere(why) => format!("the lifecycle hook {} is not completed: {why}", policy.hook),
        Launch::Waits { target, .. } if target != IN_SERVICE => format!(
            "the instance goes into the warm pool ({target}): its release is built now, and the service is started when the \
             instance leaves the pool"
        ),
        Launch::Waits { .. } | Launch::Done => return Vec::new(),
    };
    vec![note]
}

fn hook(wanted: &Wanted) -> Option<LifecycleHook> {
    let Launch::Waits { group, target } = launch(wanted) else { return None };
    let instance = wanted.facts.instance.as_ref()?;
    Some(LifecycleHook {
        hook: wanted.selection.lifecycle.as_ref()?.hook.clone(),
        group: group.to_owned(),
        instance: instance.id.clone(),
        region: instance.region.clone(),
        network: wanted.selection.network.clone(),
        record: Record { path: layout::lifecycle(&instance.id), text: format!("{target}\n") },
    })
}

/// IMDS says `InService` both while an instance waits at the hook and for ever after. Only the record of an earlier run
/// tells these apart. It names the state, because an instance of a warm pool is launched twice.
fn launch<'a>(wanted: &'a Wanted) -> Launch<'a> {
    if wanted.selection.lifecycle.is_none() || wanted.facts.instance.is_none() {
        return Launch::Done;
    }
    let Lifecycle { target, completed } = &wanted.facts.lifecycle;
    if target.is_none() && tag(wanted).is_none() {
        return Launch::NotHere("the instance is not in an Auto Scaling group".to_owned());
    }
    let target = target.as_deref().unwrap_or(IN_SERVICE);
    if completed.as_deref() == Some(target) {
        return Launch::Done;
    }
    if target != IN_SERVICE && !enters_warm_pool(target) {
        return Launch::NotHere(format!("the instance goes to the state {target}"));
    }
    match group(wanted) {
        Some(group) => Launch::Waits { group, target },
        None => Launch::NotHere(
            "IMDS shows no tag with the name of its Auto Scaling group; set lifecycle.group in the policy"
                .to_owned(),
        ),
    }
}

/// The name of the instance's Auto Scaling group, from the policy or the tag.
pub fn group<'a>(wanted: &'a Wanted) -> Option<&'a str> {
    let named = wanted.selection.lifecycle.as_ref().and_then(|lifecycle| lifecycle.group.as_deref());
    named.or_else(|| tag(wanted))
}

fn tag<'a>(wanted: &'a Wanted) -> Option<&'a str> {
    let tag = wanted.facts.tags.as_ref().and_then(|tags| tags.get(GROUP_TAG));
    // It becomes part of messages.
    tag.map(String::as_str).filter(|group| !group.chars().any(char::is_control))
}

fn enters_warm_pool(target: &str) -> bool {
    ["Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated"].contains(&target)
}
