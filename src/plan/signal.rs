//! The lifecycle hook of an Auto Scaling group, at which an instance waits until it may go into service: heartbeats
//! while the steps of a plan run, and the signal that completes the hook. Data only.

use serde::{Deserialize, Serialize};

use super::{Record, Seconds, printable};
use crate::facts::Network;

/// A lifecycle hook, and the instance that waits at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleHook {
    pub hook: String,
    pub group: String,
    pub instance: String,
    pub region: String,
    pub network: Network,
    /// Once this record exists with this text, the hook is completed, and nothing is sent any more.
    pub record: Record,
}

/// What Auto Scaling does with the instance once the hook is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LifecycleResult {
    /// The instance goes into service, or into the warm pool.
    Continue,
    /// The instance is terminated.
    Abandon,
}

/// Completes the hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signal {
    #[serde(flatten)]
    pub at: LifecycleHook,
    pub result: LifecycleResult,
}

/// Heartbeats beside the steps of a plan: each starts the hook's heartbeat timeout again. `apply` sends them while the
/// steps run, which their own time limits and the budget bound: a run that hangs sends none for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    #[serde(flatten)]
    pub at: LifecycleHook,
    pub every: Seconds,
}

impl LifecycleResult {
    /// Its name in the Auto Scaling API.
    pub fn name(self) -> &'static str {
        match self {
            LifecycleResult::Continue => "CONTINUE",
            LifecycleResult::Abandon => "ABANDON",
        }
    }
}

impl LifecycleHook {
    fn name(&self) -> String {
        format!("lifecycle hook {} of {}", printable(&self.hook), printable(&self.group))
    }
}

impl Signal {
    pub fn headline(&self) -> String {
        format!("complete {} with {}", self.at.name(), self.result.name())
    }

    /// The line below the headline.
    pub(super) fn detail(&self) -> String {
        format!("for {} in {}, with the instance's role; once", self.at.instance, self.at.region)
    }
}

impl Keepalive {
    pub fn headline(&self) -> String {
        format!("heartbeat for {}", self.at.name())
    }
}
