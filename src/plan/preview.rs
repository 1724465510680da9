//! What a dry run found for each step of a plan, and the summary: how many steps have something to do, and whether the
//! service is started or restarted. Pure: `machine` makes the checks.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Action, EnsureRunning, Plan};

/// What a check of the machine found for one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Whether the step has nothing to do.
    pub already: bool,
    /// How the machine differs from what the step makes: `absent`, `other content`. Empty if `already`.
    pub how: String,
}

impl Preview {
    pub fn already() -> Self {
        Preview { already: true, how: String::new() }
    }

    pub fn to_do(how: impl Into<String>) -> Self {
        Preview { already: false, how: how.into() }
    }
}

/// The checks see the machine before any step is done. If a step will change what a running unit depends on, the unit
/// will be restarted and its health check awaited again; this corrects their previews.
pub fn correct_previews(plan: &Plan, mut previews: Vec<Preview>) -> Vec<Preview> {
    let mut changed: BTreeSet<PathBuf> = BTreeSet::new();
    let mut restarted: BTreeSet<&str> = BTreeSet::new();
    for (step, preview) in plan.steps.iter().zip(&mut previews) {
        match &step.action {
            Action::EnsureRunning(ensure) => {
                if preview.already && ensure.inputs.iter().any(|input| changed.contains(input)) {
                    *preview = Preview::to_do(RESTART);
                }
                if !preview.already {
                    restarted.insert(&ensure.unit);
                }
            }
            Action::AwaitHealth(gate) if preview.already && restarted.contains(gate.gate.unit.as_str()) => {
                *preview = Preview::to_do("the service is started by this run");
            }
            action if !preview.already => changed.extend(action.writes()),
            _ => {}
        }
    }
    previews
}

const RESTART: &str = "runs, and is restarted because a step changes its files";

/// How much a run would do.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    pub to_do: usize,
    pub unchanged: usize,
    /// `starts auth-service` or `restarts auth-service`.
    pub service: Option<String>,
}

impl Summary {
    pub fn of(plan: &Plan, previews: &[Preview]) -> Summary {
        let steps = || plan.steps.iter().zip(previews);
        let is_due =
            |(step, preview): &(&super::Step, &Preview)| !preview.already && !changes_nothing(&step.action);
        let service = steps().find_map(|(step, preview)| match &step.action {
            Action::EnsureRunning(EnsureRunning { unit, .. }) if !preview.already && *unit == plan.unit => {
                let is_down = ["inactive", "failed", "not running", "absent"].contains(&preview.how.as_str());
                Some(format!("{} {}", if is_down { "starts" } else { "restarts" }, plan.service))
            }
            _ => None,
        });
        let to_do = steps().filter(is_due).count();
        Summary { to_do, unchanged: previews.len().min(plan.steps.len()) - to_do, service }
    }
}

/// Every run tests the rules for IMDS. The test changes nothing, so it does not count as something to do.
fn changes_nothing(action: &Action) -> bool {
    matches!(action, Action::ProveImdsRules { .. })
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to do, {} unchanged", self.to_do, self.unchanged)?;
        self.service.iter().try_for_each(|service| write!(f, ", {service}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Commit, Environment, Gate, Probe, Service};
    use crate::plan::{Compared, Deployment, Goal, HealthWait, Mode, Owner, Seconds, Step, StepId};
    use crate::secret::Redaction;

    const UNIT: &str = "x.service";

    fn step(id: &str, action: Action) -> Step {
        let (needs, why) = (Vec::new(), String::new());
        Step {
            id: StepId::new(id),
            needs,
            why,
            action,
            timeout: Seconds(1),
            tries: 1,
            optional: false,
            mark: None,
        }
    }

    /// A directory that the service depends on, another one, the service's start and health check, and a test of rules.
    fn plan() -> Plan {
        let directory =
            |path: &str| Action::MakeDirectory { path: path.into(), owner: Owner::root(), mode: Mode(0o755) };
        let inputs = vec!["/run/env".into()];
        let ensure = EnsureRunning {
            unit: UNIT.into(),
            inputs,
            reloads: Vec::new(),
            beside: Vec::new(),
            record: "/run/record".into(),
        };
        let (within, soak) = (Seconds(1), Seconds(1));
        let gate =
            Gate { unit: UNIT.into(), probe: Probe::Alive, also: Vec::new(), within, soak, interval_ms: 1 };
        let wait = HealthWait::of(gate);
        let steps = vec![
            step("env", directory("/run/env")),
            step("other", directory("/var/other")),
            step("start", Action::EnsureRunning(ensure)),
            step("health-check", Action::AwaitHealth(wait)),
            step("proof", Action::ProveImdsRules { unit: "proof.service".into() }),
        ];
        Plan {
            goal: Goal::Serve,
            service: Service::try_from("x").unwrap(),
            environment: Environment::try_from("test").unwrap(),
            commit: Commit::try_from("0123456789abcdef0123456789abcdef01234567").unwrap(),
            unit: UNIT.into(),
            origin: None,
            settings: Vec::new(),
            notes: Vec::new(),
            steps,
            recover: Vec::new(),
            after_failure: None,
            room: Vec::new(),
            keepalive: None,
            report: None,
            migration_is_reversible: None,
            rebuild: Vec::new(),
            deployment: Deployment {
                commit: Commit::try_from("0123456789abcdef0123456789abcdef01234567").unwrap(),
                release: "/opt/x/releases/r".into(),
                digest: String::new(),
                is: Compared::First,
            },
            former: None,
            only_on_an_instance: Vec::new(),
            budget: Seconds(1),
            redaction: Redaction::default(),
        }
    }

    /// The summary if the steps at these indices have something to do. The test of rules always has.
    fn summary(due: &[(usize, &str)]) -> String {
        let mut previews = vec![Preview::already(); 5];
        previews[4] = Preview::to_do("proved by every run");
        for (at, how) in due {
            previews[*at] = Preview::to_do(*how);
        }
        let plan = plan();
        Summary::of(&plan, &correct_previews(&plan, previews)).to_string()
    }

    #[test]
    fn a_changed_input_restarts_the_service() {
        assert_eq!(summary(&[(0, "other content")]), "3 to do, 2 unchanged, restarts x");
        assert_eq!(summary(&[(1, "absent")]), "1 to do, 4 unchanged");
    }

    #[test]
    fn a_service_that_is_down_is_started() {
        for how in ["inactive", "failed", "not running"] {
            assert_eq!(summary(&[(2, how)]), "2 to do, 3 unchanged, starts x");
        }
        assert_eq!(summary(&[(2, "runs something else")]), "2 to do, 3 unchanged, restarts x");
    }

    #[test]
    fn the_test_of_rules_does_not_count_as_something_to_do() {
        assert_eq!(summary(&[]), "0 to do, 5 unchanged");
    }
}
