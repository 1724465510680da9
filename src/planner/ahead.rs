//! The first steps of a plan, which are carried out before the rest is known: from then on a reboot goes on with the run.

use super::steps::Steps;
use super::{Wanted, agent, imds, records, remember};
use crate::error::Result;
use crate::facts::{Facts, Instance};
use crate::fault::Phase;
use crate::observe::{NextBoot, Selection};
use crate::plan::layout::{self, Layout};
use crate::plan::*;

/// The plan's first steps, known before the source is: from then on a reboot goes on with the run.
pub fn ahead(facts: &Facts, selection: &Selection) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    begin(&mut steps, facts, selection)?;
    Ok(steps.finish())
}

/// What a later try of this run needs, known as soon as the instance is: its flags, and the agent's own unit. From then
/// on a run that fails is gone on with, whatever it failed by.
pub fn before_the_tags(facts: &Facts, next_boot: Option<&NextBoot>) -> Vec<Step> {
    let mut steps = Steps::default();
    go_on(&mut steps, facts, next_boot);
    steps.finish()
}

fn go_on(steps: &mut Steps, facts: &Facts, next_boot: Option<&NextBoot>) {
    steps.directory("state", "root's own records", layout::STATE.into(), Owner::root(), 0o700);
    if let Some(instance) = &facts.instance {
        let path = layout::instance_records(&instance.id);
        let why = "records of this instance, not of its image";
        steps.directory("instance", why, path, Owner::root(), 0o700).after(&["state"]);
    }
    agent::persist(steps, facts, next_boot);
    if !records::has_served(facts) {
        agent::record_flags(steps, next_boot, "state");
    }
}

/// The agent and its records, which are root's alone, and the firewall rules of instance metadata.
pub fn begin(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    let fetch = [format!("{}.service", layout::FETCH), layout::document_unit(layout::FETCH)];
    let units = [Layout::new(&selection.service).transient("*")].into_iter().chain(fetch).collect();
    let mut scratch = Vec::from(layout::scratch(layout::FETCH));
    scratch.push(layout::UNFINISHED_RUNTIME.into());
    scratch.push(Layout::new(&selection.service).migration());
    scratch.extend(Layout::new(&selection.service).of_candidate());
    scratch.push(Layout::new(&selection.service).unfinished_failures());
    let left = Action::StopLeftovers { units, scratch };
    steps
        .add("clean-up", "nothing of a killed run goes on beside this one, or stays", left)
        .within(Phase::Tidy);
    go_on(steps, facts, selection.next_boot.as_ref());
    imds::rules(steps, facts, selection)
}

/// The steps that keep an instance's choices for its next boot, where the plan is not an instance's.
pub fn only_on_an_instance(wanted: &Wanted) -> Result<Vec<StepId>> {
    if wanted.facts.instance.is_some() {
        return Ok(Vec::new());
    }
    let id = "i-0".to_owned();
    let instance =
        Instance { id: id.clone(), region: String::new(), zone: String::new(), kind: String::new() };
    let facts = Facts { instance: Some(instance), ..wanted.facts.clone() };
    let next_boot = Some(NextBoot { instance: id, flags: Some(String::new()), installed: false });
    let selection = Selection { next_boot, ..wanted.selection.clone() };
    let on_one = Wanted { facts: &facts, selection: &selection, ..*wanted };
    let (mut here, mut there) = (Steps::default(), Steps::default());
    begin(&mut here, wanted.facts, wanted.selection)?;
    begin(&mut there, &facts, &selection)?;
    remember::decide(&mut there, &on_one)?;
    let here: Vec<StepId> = here.finish().into_iter().map(|step| step.id).collect();
    Ok(there.finish().into_iter().map(|step| step.id).filter(|id| !here.contains(id)).collect())
}
