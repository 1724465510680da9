//! The signal to the CloudFormation stack of the instance's group: one step at the end of a run, and of its recovery.

use super::draft::Wanted;
use super::fleet;
use super::steps::Steps;
use crate::fault::Phase;
use crate::plan::{Action, Record, Seconds, StackSignal, StackStatus, layout};

/// AWS gives them to every resource of a stack, and the group to its instances.
const STACK_TAG: &str = "aws:cloudformation:stack-name";
const RESOURCE_TAG: &str = "aws:cloudformation:logical-id";

/// Longer than the tries, so that the step ends with their last error.
const LIMIT: Seconds = Seconds(Phase::Evidence.seconds().0 + 10);

/// Adds the last step of a run. The service serves without it.
pub fn proceed(steps: &mut Steps, wanted: &Wanted) {
    let why = "the stack counts the instance: the service is healthy";
    if let Ok(Some(signal)) = signal(wanted, StackStatus::Success) {
        steps
            .add("stack", why, Action::SignalStack(signal))
            .after(&["good"])
            .within(Phase::Evidence)
            .lasting(LIMIT)
            .optional();
    }
}

/// Adds the step of a recovery that gives the instance up. The stack then fails at once, and does not wait for its own
/// timeout, or for another step: the instance may end any time.
pub fn end_recovery(steps: &mut Steps, wanted: &Wanted) {
    if !(steps.has("stop") && fleet::abandons(wanted.selection)) {
        return;
    }
    let why = "nothing serves: the stack fails; not if the run was only cancelled";
    if let Ok(Some(signal)) = signal(wanted, StackStatus::Failure) {
        steps.add("stack-back", why, Action::SignalStack(signal)).within(Phase::Evidence).lasting(LIMIT);
    }
}

/// Notes for an operator.
pub fn notes(wanted: &Wanted) -> Vec<String> {
    let why = signal(wanted, StackStatus::Success).err();
    why.map(|why| format!("no CloudFormation stack is signalled: {why}")).into_iter().collect()
}

/// The signal, if the policy wants one; the error is why it cannot be sent.
fn signal(wanted: &Wanted, status: StackStatus) -> Result<Option<StackSignal>, String> {
    let (Some(named), Some(instance)) = (&wanted.selection.evidence.stack, &wanted.facts.instance) else {
        return Ok(None);
    };
    let stack = tag(wanted, STACK_TAG)?;
    let resource = tag(wanted, RESOURCE_TAG)?;
    if named != "*" && *named != stack {
        return Err(format!("the instance belongs to the stack {stack}, and evidence.stack names {named}"));
    }
    let record = Record { path: layout::stack_signal(&instance.id), text: format!("{stack} {resource}\n") };
    Ok(Some(StackSignal {
        stack,
        resource,
        instance: instance.id.clone(),
        region: instance.region.clone(),
        network: wanted.selection.network.clone(),
        status,
        record,
    }))
}

fn tag(wanted: &Wanted, key: &str) -> Result<String, String> {
    let tag = wanted.facts.tags.as_ref().and_then(|tags| tags.get(key));
    // Only AWS writes tags of this prefix. The value becomes part of messages and of a record.
    let is_name = |name: &&String| {
        (1..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    tag.filter(is_name).cloned().ok_or_else(|| format!("IMDS shows no tag {key}"))
}
