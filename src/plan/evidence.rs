//! What leaves the machine of a run's end: the signal to a CloudFormation stack, and lines for CloudWatch Logs. Data only.

use serde::Serialize;

use super::{Action, LifecycleResult, Record, Signal, printable};
use crate::facts::Network;

/// Tells the stack of the instance's group whether the instance is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StackSignal {
    pub stack: String,
    /// The logical id of the group in the stack.
    pub resource: String,
    pub instance: String,
    pub region: String,
    pub network: Network,
    pub status: StackStatus,
    /// Once this record exists with this text, the stack is signalled, and nothing is sent any more.
    pub record: Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StackStatus {
    Success,
    /// It fails the creation or update of the stack at once.
    Failure,
}

impl StackStatus {
    /// Its name in the CloudFormation API.
    pub fn name(self) -> &'static str {
        match self {
            StackStatus::Success => "SUCCESS",
            StackStatus::Failure => "FAILURE",
        }
    }
}

impl StackSignal {
    pub fn headline(&self) -> String {
        let (resource, stack) = (printable(&self.resource), printable(&self.stack));
        format!("signal {} to {resource} of the stack {stack}", self.status.name())
    }
}

impl Action {
    /// Whether the action gives the instance up: Auto Scaling then terminates it, or its stack fails.
    pub fn abandons(&self) -> bool {
        matches!(
            self,
            Action::Signal(Signal { result: LifecycleResult::Abandon, .. })
                | Action::SignalStack(StackSignal { status: StackStatus::Failure, .. })
        )
    }
}

/// A new stream of a log group, with these lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutEvidence {
    pub group: String,
    pub stream: String,
    /// Redacted and bounded; at least one.
    pub lines: Vec<String>,
    pub region: String,
    pub network: Network,
}
