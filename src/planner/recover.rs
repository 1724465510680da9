//! The steps of a failed run: going back to the last healthy deployment, and before that, rebuilding a release that was
//! healthy before the boot.

use super::compared::another;
use super::draft::Draft;
use super::environment::BACK;
use super::finished::{aside, record};
use super::kept;
use super::records::{good, listened};
use super::remember::prune;
use super::steps::Steps;
use super::{beside, cache, candidate, evidence, fallback, image, process_units, signal, switch};
use crate::facts::Generation;
use crate::fault::Phase;
use crate::plan::{Action, Rendering, Step};

/// The steps of a failed run. They remove an incomplete release and start the last healthy deployment. After a
/// reboot this may be the wanted one: it does not run yet, and the failed step need not affect it. If there is none,
/// the service is stopped.
pub fn recover(draft: &Draft, has_candidate: bool) -> Vec<Step> {
    let mut steps = Steps::default();
    go_back(&mut steps, draft, has_candidate);
    evidence::end_recovery(&mut steps, draft.wanted);
    signal::end_recovery(&mut steps, draft.wanted);
    steps.finish()
}

fn go_back(steps: &mut Steps, draft: &Draft, has_candidate: bool) {
    let Draft { wanted, generation, rendering, layout, .. } = draft;
    if has_candidate {
        candidate::end(steps, "candidate-back", layout);
    }
    let discard = Action::DiscardUnfinished {
        release: generation.release.clone(),
        record: record(&generation.release, layout),
    };
    steps.add("discard", "an incomplete release cannot be used", discard).within(Phase::Tidy);
    let (facts, service) = (wanted.facts, &wanted.selection.service);
    if switch::goes_back(facts, service) {
        switch::go_back(steps, facts, service, &generation.runs_by);
        return;
    }
    let mut ready: Vec<String> = Vec::new();
    if switch::stop_unproven(steps, facts, service) {
        ready.push("stop-unproven".to_owned());
    }
    if may_rebuild(draft) {
        let back = Action::BringBack(aside(generation, layout));
        let why = "the release that was healthy before, if it could not be rebuilt";
        steps.add("bring-back", why, back).after(&["discard"]).within(Phase::Tidy);
        ready.push("bring-back".to_owned());
    }
    match (another(draft), good(wanted)) {
        (Some(former), _) => {
            let environment = environment(draft, former);
            ready.extend(fallback::remove_files(steps, &generation.runs_by, &former.runs_by, &[]));
            if let Some(back) = &environment {
                let change = (Some(rendering), back);
                ready.extend(super::environment::remove_made(steps, &BACK, change, &[], layout));
            }
            let removed = beside::remove(steps, &generation.runs_by, &former.runs_by, &[]);
            ready.extend(removed.iter().map(|id| id.as_str().to_owned()));
            let known = process_units::known(facts, service, [&generation.runs_by]);
            let stopped = process_units::stop_others(steps, &known, former, &[]);
            ready.extend(stopped.iter().map(|id| id.as_str().to_owned()));
            let container = image::stop_container(steps, (generation, former), &[], layout);
            ready.extend(container.iter().map(|id| id.as_str().to_owned()));
            let listened = listened(facts, service, former);
            fallback::start(steps, former, listened, environment.as_ref(), &ready, layout);
            let done = if has_candidate {
                &["health-check-back", "candidate-back"][..]
            } else {
                &["health-check-back"]
            };
            let prune = Action::PruneReleases(prune(wanted, former, layout));
            let why = "removes the failed release";
            steps.add("prune-back", why, prune).after(done).within(Phase::Tidy);
            if cache::is_cached(draft) {
                let why = "the release may have come from the release cache: another attempt in this boot builds it";
                let text = format!("{}\n", generation.release.display());
                steps.file("rebuilt", why, layout.rebuilt(), text, 0o600).after(done);
            }
        }
        (None, Some(good)) => {
            let former = &good.generation;
            let listened = listened(facts, service, former);
            fallback::start(steps, former, listened, Some(rendering), &ready, layout);
        }
        (None, None) => {
            let stop = Action::StopUnit { unit: layout.unit(), scratch: Vec::new() };
            steps.add("stop", "stops what did not pass the health check", stop).within(Phase::Tidy);
            beside::stop_all(steps, &generation.runs_by, "", &[]);
        }
    }
}

/// The environment for the previous deployment: the copy that was healthy in this boot; after a reboot, the
/// environment of the release's record with the secret's present values; else the new one, if it is for the same
/// commit. `None` leaves the files as they are.
fn environment(draft: &Draft, former: &Generation) -> Option<Rendering> {
    let Draft { wanted, generation, rendering, .. } = draft;
    let service = &wanted.selection.service;
    let recorded = || {
        let kept = kept::of(wanted.facts, service, former)?;
        let has_values = kept.variables.secret.is_some() || !kept.variables.sources.is_empty();
        let present = &wanted.selection.secret;
        let secret = wanted.values.and_then(|values| kept::secret_of(kept, values, present));
        (secret.is_some() || !has_values)
            .then(|| kept::rendering(service, kept, secret.as_ref()).ok())
            .flatten()
    };
    let same = || (former.commit == generation.commit).then(|| rendering.clone());
    wanted.good_environment.cloned().or_else(recorded).or_else(same)
}

/// Whether the release was healthy before this boot, but not in it yet: here, or on the instance that put it into the release
/// cache. If it fails now, its files may be damaged, or not for this machine, so that building it again may help.
fn may_rebuild(draft: &Draft) -> bool {
    let Draft { wanted, generation, .. } = draft;
    let passed = match good(wanted) {
        Some(good) => good.generation.release == generation.release && wanted.good_environment.is_none(),
        None => cache::is_cached(draft),
    };
    passed && wanted.facts.instance.is_some()
}

/// The steps before such a release is built again. A record limits that to once for each boot.
pub fn rebuild(draft: &Draft) -> Vec<Step> {
    let Draft { generation, layout, .. } = draft;
    let mut steps = Steps::default();
    if may_rebuild(draft) {
        let why = "records the rebuild: there is one for each boot";
        let text = format!("{}\n", generation.release.display());
        steps.file("rebuilt", why, layout.rebuilt(), text, 0o600);
        let stop = Action::StopUnit { unit: layout.unit(), scratch: Vec::new() };
        let why = "the service runs from that release";
        steps.add("stop-unit", why, stop).after(&["rebuilt"]).within(Phase::Tidy);
        let set_aside = Action::SetAside(aside(generation, layout));
        let why = "the recovery uses the release again if it cannot be rebuilt";
        steps.add("set-aside", why, set_aside).after(&["stop-unit"]).within(Phase::Tidy);
    }
    steps.finish()
}
