//! A switch of services: the instance is to run another service than the one that runs now. It runs one at a time,
//! since both may use the same port: the former service is stopped right before the new one starts, and started
//! again if that fails.

use super::records::{good_of, listened};
use super::running::ensure_running;
use super::steps::Steps;
use super::{beside, health};
use crate::facts::{Facts, Generation, Service, Supervised};
use crate::fault::Phase;
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning, Mark, StepId};

/// The other services of bootagent that run or restart, if the selected one does not. (If it does, an operator
/// started the others beside it.)
pub fn former<'a>(facts: &'a Facts, service: &'a Service) -> impl Iterator<Item = &'a Service> {
    others(facts, service).filter(move |_| !is_up(facts, service))
}

fn others<'a>(facts: &'a Facts, service: &'a Service) -> impl Iterator<Item = &'a Service> {
    facts.active.union(&facts.restarting).filter(move |other| *other != service)
}

fn is_up(facts: &Facts, service: &Service) -> bool {
    facts.active.contains(service) || facts.restarting.contains(service)
}

/// Whether a failed run goes back to a former service: one of them was healthy on this instance, or the selected
/// service never was. Otherwise a killed switch left the former service running, and the selected one is the better
/// choice.
pub fn goes_back(facts: &Facts, service: &Service) -> bool {
    let was_healthy = |service: &Service| good_of(facts, service).is_some();
    let mut all = former(facts, service);
    former(facts, service).any(was_healthy) || (all.next().is_some() && !was_healthy(service))
}

/// Adds a step that stops the former services, none of which was ever healthy. Returns whether there are any.
pub fn stop_unproven(steps: &mut Steps, facts: &Facts, service: &Service) -> bool {
    let units: Vec<String> = former(facts, service).map(|former| Layout::new(former).unit()).collect();
    if units.is_empty() {
        return false;
    }
    let stop = Action::StopLeftovers { units, scratch: Vec::new() };
    steps.add("stop-unproven", "it was never healthy, and may use the port", stop).within(Phase::Tidy);
    true
}

/// The deployment that a failed switch goes back to.
pub fn former_generation<'a>(facts: &'a Facts, service: &'a Service) -> Option<&'a Generation> {
    former(facts, service).find_map(|former| good_of(facts, former)).map(|good| &good.generation)
}

/// Notes on services that this run stops, and on those that run beside the selected one.
pub fn notes(facts: &Facts, service: &Service) -> Vec<String> {
    let stopped = former(facts, service)
        .map(|former| format!("{former} is stopped: this instance switches to {service}"));
    let beside = others(facts, service).filter(|_| is_up(facts, service));
    let beside = beside.map(|other| {
        let unit = Layout::new(other).unit();
        format!(
            "{other} runs beside {service}, and bootagent did not start it: systemctl stop {unit} stops it"
        )
    });
    stopped.chain(beside).collect()
}

/// Adds steps that stop the former services. Returns their ids, for which the start of the new service waits.
pub fn stop_former(steps: &mut Steps, facts: &Facts, service: &Service) -> Vec<StepId> {
    let mut ids = Vec::new();
    for former in former(facts, service) {
        let id = format!("stop-{former}");
        let why = format!("this instance switches to {service}");
        let action = Action::StopUnit { unit: Layout::new(former).unit(), scratch: Vec::new() };
        steps.add(&id, &why, action).after(&["switch"]).within(Phase::Start);
        ids.push(StepId::new(id));
        if let Some(good) = good_of(facts, former) {
            let suffix = format!("-of-{former}");
            ids.extend(beside::stop_all(steps, &good.generation.runs_by, &suffix, &["switch"]));
        }
    }
    ids
}

/// Adds the steps of a failed switch: stop the new service, and start the former ones, whose files are unchanged.
pub fn go_back(steps: &mut Steps, facts: &Facts, service: &Service, failed: &Supervised) {
    let stop = Action::StopUnit { unit: Layout::new(service).unit(), scratch: Vec::new() };
    let why = "it is not healthy, and the previous service may need its port";
    steps.add("stop", why, stop).within(Phase::Tidy);
    let stopped = beside::stop_all(steps, failed, "", &[]);
    let was_healthy = |former: &&Service| good_of(facts, former).is_some();
    let (good, others): (Vec<&Service>, Vec<&Service>) = former(facts, service).partition(was_healthy);
    for (index, former) in good.iter().chain(&others).enumerate() {
        let suffix = if index == 0 { String::new() } else { format!("-{former}") };
        let (start, gate) = (format!("start-back{suffix}"), format!("health-check-back{suffix}"));
        let good = good_of(facts, former);
        let runs_by = good.map(|good| good.generation.runs_by.clone()).unwrap_or_default();
        let action = Action::EnsureRunning(EnsureRunning {
            reloads: Vec::new(),
            ..ensure_running(&runs_by, &Layout::new(former))
        });
        // The plan's field `former` is the first one, so only that one has marks.
        let mut step = steps.add(&start, "the service that ran before the switch", action);
        step.after(&["stop"]).needing(stopped.clone()).within(Phase::Start);
        if index == 0 {
            step.marks(Mark::BackStarted);
        }
        if let Some(good) = good {
            let suffix = format!("-of-{former}");
            let beside = beside::start(steps, &good.generation.runs_by.beside, &suffix, &start, &[]);
            let why = "the previous service must be healthy again";
            let mut step = health::await_gate(
                steps,
                &gate,
                why,
                &good.generation.gate,
                listened(facts, former, &good.generation),
            );
            step.after(&[&start]).needing(beside);
            if index == 0 {
                step.marks(Mark::BackServing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Commit, Gate, Good, Probe, Seconds, records};

    fn service(name: &str) -> Service {
        Service::try_from(name).unwrap()
    }

    fn good() -> Good {
        let (within, soak) = (Seconds(60), Seconds(5));
        let gate = Gate {
            unit: "x.service".into(),
            probe: Probe::Alive,
            also: Vec::new(),
            within,
            soak,
            interval_ms: 500,
        };
        let commit = Commit::try_from("0123456789abcdef0123456789abcdef01234567").unwrap();
        let generation =
            Generation { commit, release: "/opt/x/releases/r".into(), runs_by: Default::default(), gate };
        Good { schema: records::SCHEMA, instance: None, generation, before: None }
    }

    /// `mail` runs, and `auth` is selected.
    fn machine(healthy: &[&str]) -> Facts {
        let good = healthy.iter().map(|name| (service(name), good())).collect();
        Facts { active: [service("mail")].into(), good, ..Facts::default() }
    }

    #[test]
    fn a_failure_goes_back_to_a_service_that_was_healthy() {
        assert!(goes_back(&machine(&["mail", "auth"]), &service("auth")));
        assert!(goes_back(&machine(&["mail"]), &service("auth")));
        // A killed switch left `mail` running.
        assert!(!goes_back(&machine(&["auth"]), &service("auth")));
        // Neither was ever healthy: the running one stays.
        assert!(goes_back(&machine(&[]), &service("auth")));
        assert!(!goes_back(&machine(&["mail"]), &service("mail")), "the selected service runs");
    }

    #[test]
    fn a_former_service_that_was_never_healthy_is_stopped() {
        let stopped = |facts: &Facts, name: &str| {
            let mut steps = Steps::default();
            let any = stop_unproven(&mut steps, facts, &service(name));
            assert_eq!(any, steps.has("stop-unproven"));
            any
        };
        assert!(stopped(&machine(&["auth"]), "auth"));
        assert!(!stopped(&machine(&["mail"]), "mail"));
    }
}
