//! The first steps of a plan, which depend on nothing of the repository. A run carries them out before it makes the rest of
//! the plan: once they are done, a reboot continues the run.

use std::path::Path;

use super::steps::Steps;
use super::{Wanted, agent, imds, records, remember, upkeep, watch};
use crate::error::Result;
use crate::facts::{Facts, Instance};
use crate::fault::Phase;
use crate::observe::{NextBoot, Selection};
use crate::plan::layout::{self, Layout};
use crate::plan::*;

/// The plan's first steps, which do not depend on the repository. Once they are done, a reboot continues the run.
pub fn ahead(facts: &Facts, selection: &Selection) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    begin(&mut steps, facts, selection)?;
    Ok(steps.finish())
}

/// The steps that a retry of this run depends on: the agent's unit and the run's flags. They need only the
/// instance's id, so that a run that fails while it reads the tags is retried, too.
pub fn retry_steps(facts: &Facts, next_boot: Option<&NextBoot>) -> Vec<Step> {
    let mut steps = Steps::default();
    prepare_retry(&mut steps, facts, next_boot);
    steps.finish()
}

fn prepare_retry(steps: &mut Steps, facts: &Facts, next_boot: Option<&NextBoot>) {
    steps.directory(
        "state",
        "bootagent's records, for root only",
        layout::STATE.into(),
        Owner::root(),
        0o700,
    );
    if let Some(instance) = &facts.instance {
        let path = layout::instance_records(&instance.id);
        let why = "records of this instance, which other instances of the AMI ignore";
        steps.directory("instance", why, path, Owner::root(), 0o700).after(&["state"]);
    }
    agent::persist(steps, facts, next_boot);
    if !records::has_served(facts) {
        agent::record_flags(steps, next_boot, "state");
    }
}

/// Stops what a killed run left, installs the agent with its records, and loads the firewall rules for IMDS. All steps
/// that run code or data of the repository come after these.
pub fn begin(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    let fetch = [format!("{}.service", layout::FETCH), layout::document_unit(layout::FETCH)];
    let units = [Layout::new(&selection.service).transient("*")].into_iter().chain(fetch).collect();
    let mut scratch = Vec::from(layout::scratch(layout::FETCH));
    scratch.push(layout::UNFINISHED_RUNTIME.into());
    scratch.push(Layout::new(&selection.service).migration());
    scratch.extend(Layout::new(&selection.service).candidate_paths());
    scratch.push(Layout::new(&selection.service).unfinished_failures());
    if selection.cache.releases.is_some() || selection.cache.directory.is_some() {
        // Entries on their way: up to half of the free disk.
        let staging =
            |name: &&str| Path::new(layout::STAGING).join(Layout::new(&selection.service).transient(name));
        scratch.extend(["release-cache", "install-cache", "install-cache-store"].iter().map(staging));
    }
    let left = Action::StopLeftovers { units, scratch };
    steps.add("remove-leftovers", "stops and removes what a killed run left", left).within(Phase::Tidy);
    prepare_retry(steps, facts, selection.next_boot.as_ref());
    upkeep::machine(steps, facts, selection);
    watch::remove(steps, facts, selection);
    imds::rules(steps, facts, selection)
}

/// If the machine is not an EC2 instance: the ids of the steps that only an instance's plan has, which record its
/// choices for the next boot. The placeholder instance id is never shown.
pub fn only_on_an_instance(wanted: &Wanted) -> Result<Vec<StepId>> {
    if wanted.facts.instance.is_some() {
        return Ok(Vec::new());
    }
    let id = "i-0".to_owned();
    let nothing = String::new;
    let instance =
        Instance { id: id.clone(), region: nothing(), zone: nothing(), kind: nothing(), address: None };
    let facts = Facts { instance: Some(instance), ..wanted.facts.clone() };
    let next_boot = Some(NextBoot { instance: id, flags: Some(String::new()), installed: false });
    let selection = Selection { next_boot, ..wanted.selection.clone() };
    let on_one = Wanted { facts: &facts, selection: &selection, ..*wanted };
    let (mut here, mut there) = (Steps::default(), Steps::default());
    begin(&mut here, wanted.facts, wanted.selection)?;
    begin(&mut there, &facts, &selection)?;
    remember::pin(&mut there, &on_one)?;
    let here: Vec<StepId> = here.finish().into_iter().map(|step| step.id).collect();
    Ok(there.finish().into_iter().map(|step| step.id).filter(|id| !here.contains(id)).collect())
}
