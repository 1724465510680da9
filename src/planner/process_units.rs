//! Steps that stop the units beside a service which the deployment does not have, such as a worker of an earlier one.

use std::collections::BTreeSet;

use super::steps::Steps;
use crate::facts::{Facts, Generation, Service, Supervised};
use crate::fault::Phase;
use crate::plan::{Action, StepId, layout};

/// The units on this machine, and those that `others` would have.
pub fn known<'a>(
    facts: &'a Facts,
    service: &Service,
    others: impl IntoIterator<Item = &'a Supervised>,
) -> BTreeSet<&'a str> {
    let there = facts.process_units.get(service).into_iter().flatten().map(String::as_str);
    there.chain(others.into_iter().flat_map(Supervised::units)).collect()
}

/// Adds steps that stop those of the known units that `stays` does not have, and remove their files. Returns the steps' ids.
pub fn stop_others(
    steps: &mut Steps,
    known: &BTreeSet<&str>,
    stays: &Generation,
    needs: &[&str],
) -> Vec<StepId> {
    let wanted: BTreeSet<&str> = stays.runs_by.units().collect();
    let mut ids = Vec::new();
    for unit in known.difference(&wanted) {
        let id = format!("stop-{}", unit.replace('.', "-"));
        let why = "a unit beside the service that this deployment does not have";
        let stop = Action::StopUnit { unit: (*unit).to_owned(), scratch: vec![layout::unit_file(unit)] };
        steps.add(&id, why, stop).after(needs).within(Phase::Tidy);
        ids.push(StepId::new(id));
    }
    ids
}
