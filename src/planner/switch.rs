//! A switch: this instance gets another service than the one that runs on it. An instance serves one service, and both may
//! want the same port: so the former one is stopped right before the new one starts, and brought back if that fails.

use super::health;
use super::records::good_of;
use super::running::ensure_running;
use super::steps::Steps;
use crate::facts::{Facts, Generation, Service};
use crate::fault::Phase;
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning, Mark, StepId};

/// The services of ours that run, or are started again and again, in the place of the selected one. What runs beside it
/// was started by an operator.
pub fn former<'a>(facts: &'a Facts, service: &'a Service) -> impl Iterator<Item = &'a Service> {
    others(facts, service).filter(move |_| !is_up(facts, service))
}

fn others<'a>(facts: &'a Facts, service: &'a Service) -> impl Iterator<Item = &'a Service> {
    facts.active.union(&facts.restarting).filter(move |other| *other != service)
}

fn is_up(facts: &Facts, service: &Service) -> bool {
    facts.active.contains(service) || facts.restarting.contains(service)
}

/// Whether a failure leads back to what runs now in the place of the selected service: it passed here, or nothing else
/// did. What a killed switch left running did not.
pub fn goes_back(facts: &Facts, service: &Service) -> bool {
    let passed = |service: &Service| good_of(facts, service).is_some();
    former(facts, service).any(passed) || (former(facts, service).next().is_some() && !passed(service))
}

/// What runs in the place of the selected service and never passed makes room for it. Whether there is any.
pub fn stop_unproven(steps: &mut Steps, facts: &Facts, service: &Service) -> bool {
    let units: Vec<String> = former(facts, service).map(|former| Layout::new(former).unit()).collect();
    if units.is_empty() {
        return false;
    }
    let stop = Action::StopLeftovers { units, scratch: Vec::new() };
    steps.add("stop-unproven", "it did not pass, and may hold the port", stop).within(Phase::Tidy);
    true
}

/// The generation to which a failed switch goes back.
pub fn former_generation<'a>(facts: &'a Facts, service: &'a Service) -> Option<&'a Generation> {
    former(facts, service).find_map(|former| good_of(facts, former)).map(|good| &good.generation)
}

pub fn notes(facts: &Facts, service: &Service) -> Vec<String> {
    let stopped = former(facts, service)
        .map(|former| format!("{former} is stopped: this instance switches to {service}"));
    let beside = others(facts, service).filter(|_| is_up(facts, service));
    let beside = beside.map(|other| {
        let unit = Layout::new(other).unit();
        format!("{other} runs beside {service}, and no run started it there: systemctl stop {unit} ends it")
    });
    stopped.chain(beside).collect()
}

/// What the start of the new service waits for.
pub fn stop_former(steps: &mut Steps, facts: &Facts, service: &Service) -> Vec<StepId> {
    let stop = |former: &Service| {
        let id = format!("stop-{former}");
        let why = format!("this instance switches to {service}");
        let action = Action::StopUnit { unit: Layout::new(former).unit(), scratch: Vec::new() };
        steps.add(&id, &why, action).after(&["switch"]).within(Phase::Start);
        StepId::new(id)
    };
    former(facts, service).map(stop).collect()
}

/// After a failure: the new service gives way, and what ran before it runs again, from what stands there unchanged.
pub fn go_back(steps: &mut Steps, facts: &Facts, service: &Service) {
    let stop = Action::StopUnit { unit: Layout::new(service).unit(), scratch: Vec::new() };
    let why = "it is not healthy, and the previous service may need its port";
    steps.add("stop", why, stop).within(Phase::Tidy);
    let known = |former: &&Service| good_of(facts, former).is_some();
    let (good, others): (Vec<&Service>, Vec<&Service>) = former(facts, service).partition(known);
    for (index, former) in good.iter().chain(&others).enumerate() {
        let more = if index == 0 { String::new() } else { format!("-{former}") };
        let (start, gate) = (format!("start-back{more}"), format!("health-check-back{more}"));
        let good = good_of(facts, former);
        let runs_by = good.map(|good| good.generation.runs_by.clone()).unwrap_or_default();
        let action = Action::EnsureRunning(EnsureRunning {
            reloads: Vec::new(),
            ..ensure_running(&runs_by, &Layout::new(former))
        });
        // The first one is the deployment that the plan calls its former one.
        let mut step = steps.add(&start, "the former service", action);
        step.after(&["stop"]).within(Phase::Start);
        if index == 0 {
            step.marks(Mark::BackStarted);
        }
        if let Some(good) = good {
            let mut step = health::await_gate(steps, &gate, "it serves again", &good.generation.gate);
            step.after(&[&start]);
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
    fn machine(passed: &[&str]) -> Facts {
        let good = passed.iter().map(|name| (service(name), good())).collect();
        Facts { active: [service("mail")].into(), good, ..Facts::default() }
    }

    #[test]
    fn a_failure_leads_back_to_what_passed() {
        assert!(goes_back(&machine(&["mail", "auth"]), &service("auth")));
        assert!(goes_back(&machine(&["mail"]), &service("auth")));
        // A killed switch left it running.
        assert!(!goes_back(&machine(&["auth"]), &service("auth")));
        // Nothing better is known than what runs.
        assert!(goes_back(&machine(&[]), &service("auth")));
        assert!(!goes_back(&machine(&["mail"]), &service("mail")), "the selected service runs");
    }

    #[test]
    fn what_never_passed_makes_room() {
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
