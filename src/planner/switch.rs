//! A switch: this instance gets another service than the one that runs on it. An instance serves one service, and both may
//! want the same port: so the former one is stopped right before the new one starts, and brought back if that fails.

use super::remember::good_of;
use super::steps::Steps;
use super::{handover, health};
use crate::facts::{Facts, Generation, Service};
use crate::fault::Slice;
use crate::plan::layout::Layout;
use crate::plan::{Action, StepId};

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
        steps.add(&id, &why, action).after(&["switch"]).within(Slice::Start);
        StepId::new(id)
    };
    former(facts, service).map(stop).collect()
}

/// After a failure: the new service gives way, and what ran before it runs again, from what stands there unchanged.
pub fn go_back(steps: &mut Steps, facts: &Facts, service: &Service) {
    let stop = Action::StopUnit { unit: Layout::new(service).unit(), scratch: Vec::new() };
    let why = "it did not pass, and the former service may need its port";
    steps.add("stop", why, stop).within(Slice::Tidy);
    let known = |former: &&Service| good_of(facts, former).is_some();
    let (good, others): (Vec<&Service>, Vec<&Service>) = former(facts, service).partition(known);
    for (index, former) in good.iter().chain(&others).enumerate() {
        let more = if index == 0 { String::new() } else { format!("-{former}") };
        let (start, gate) = (format!("start-back{more}"), format!("gate-back{more}"));
        let action = Action::Handover(handover(&Layout::new(former)));
        steps.add(&start, "the former service", action).after(&["stop"]).within(Slice::Start);
        if let Some(good) = good_of(facts, former) {
            health::await_gate(steps, &gate, "it serves again", &good.generation.gate).after(&[&start]);
        }
    }
}
