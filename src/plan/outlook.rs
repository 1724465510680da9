//! What a look at the machine said of each step, and what that comes to: how much is to do, and whether the service is
//! started or restarted for it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Action, Handover, Plan};

/// What a look at the machine said of one step: already so, or what would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub already: bool,
    pub how: String,
}

impl Outlook {
    pub fn already() -> Self {
        Outlook { already: true, how: String::new() }
    }

    pub fn to_do(how: impl Into<String>) -> Self {
        Outlook { already: false, how: how.into() }
    }
}

/// Each step was looked at on the machine as it is. What the unit runs from may be changed by steps before it: then it
/// is restarted, and its health check is passed anew, although neither is due yet.
pub fn foreseen(plan: &Plan, mut looks: Vec<Outlook>) -> Vec<Outlook> {
    let mut changed: BTreeSet<PathBuf> = BTreeSet::new();
    let mut restarted: BTreeSet<&str> = BTreeSet::new();
    for (step, look) in plan.steps.iter().zip(&mut looks) {
        match &step.action {
            Action::Handover(handover) => {
                if look.already && handover.inputs.iter().any(|input| changed.contains(input)) {
                    *look = Outlook::to_do(RESTART);
                }
                if !look.already {
                    restarted.insert(&handover.unit);
                }
            }
            Action::AwaitHealth(gate) if look.already && restarted.contains(gate.unit.as_str()) => {
                *look = Outlook::to_do("it is started for this");
            }
            action if !look.already => changed.extend(action.writes()),
            _ => {}
        }
    }
    looks
}

const RESTART: &str = "runs, and what it runs from changes: it is restarted";

/// How much a run would do.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    pub to_do: usize,
    pub unchanged: usize,
    /// `restarts auth-service`, if it does.
    pub service: Option<String>,
}

impl Summary {
    pub fn of(plan: &Plan, looks: &[Outlook]) -> Summary {
        let steps = || plan.steps.iter().zip(looks);
        let is_due = |(step, look): &(&super::Step, &Outlook)| !look.already && !is_a_proof(&step.action);
        let service = steps().find_map(|(step, look)| match &step.action {
            Action::Handover(Handover { unit, .. }) if !look.already && *unit == plan.unit => {
                let is_down = ["inactive", "failed", "not running", "absent"].contains(&look.how.as_str());
                Some(format!("{} {}", if is_down { "starts" } else { "restarts" }, plan.service))
            }
            _ => None,
        });
        let to_do = steps().filter(is_due).count();
        Summary { to_do, unchanged: looks.len().min(plan.steps.len()) - to_do, service }
    }
}

/// It is done by every run, and changes nothing.
fn is_a_proof(action: &Action) -> bool {
    matches!(action, Action::ProveImdsWall { .. })
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to do, {} unchanged", self.to_do, self.unchanged)?;
        self.service.iter().try_for_each(|service| write!(f, ", {service}"))
    }
}
