//! What later runs must know: the choice of this instance, and the generation that passed its gate.

use std::path::PathBuf;

use super::draft::Draft;
use super::records::{good, has_served, instance, name, text};
use super::steps::Steps;
use super::{Wanted, agent, environment, kept, supervisor};
use crate::error::{Code, ErrorReport, Result};
use crate::facts::{Attempt, Facts, Failure, Generation, Good, Service, records};
use crate::fault::Phase;
use crate::observe::Decision;
use crate::plan::layout::{self, Layout};
use crate::plan::{Action, BoundCache, Content, Deployment, Mark, Mode, Owner, Prune, PruneRuntimes, Step};
use crate::planner::runtime::{self, Recipe};

pub fn remember(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let Draft { wanted, generation, rendering, layout, .. } = draft;
    decide(steps, wanted)?;
    if has_served(wanted.facts) {
        agent::record_flags(steps, wanted.selection.next_boot.as_ref(), "health-check");
    }
    let kept = environment::write(steps, &environment::GOOD, rendering, &["health-check"], layout);
    kept::keep(steps, draft)?;

    let record = Good {
        schema: records::SCHEMA,
        instance: instance(wanted.facts),
        generation: generation.clone(),
        before: before(wanted, generation),
    };
    let why = "the deployment to go back to if a later one fails";
    let before: Vec<&str> = kept.iter().map(String::as_str).chain(["kept"]).collect();
    steps.file("good", why, layout.good(), text(&record)?, 0o600).after(&before);

    let prune = Action::PruneReleases(prune(wanted, generation, layout));
    steps.add("prune", "two releases are kept", prune).after(&["good"]).within(Phase::Tidy).optional();
    Ok(())
}

/// Told before it happens: who looks at the machine later learns what was tried last.
pub fn attempt(steps: &mut Steps, draft: &Draft, ready: &[&str]) -> Result<()> {
    let Draft { wanted, generation, layout, .. } = draft;
    let record = Attempt {
        schema: records::SCHEMA,
        instance: instance(wanted.facts),
        commit: generation.commit.clone(),
        release: generation.release.clone(),
    };
    let why = "which deployment was last started";
    steps.file("attempt", why, layout.attempt(), text(&record)?, 0o600).after(ready).marks(Mark::Attempt);
    Ok(())
}

/// All releases go but the generation's own and the one that passed before it.
pub fn prune(wanted: &Wanted, generation: &Generation, layout: &Layout) -> Prune {
    let before = before(wanted, generation);
    let keep = std::iter::once(&generation.release).chain(&before).map(|release| name(release)).collect();
    Prune {
        releases: layout.releases(),
        records: vec![layout.finished(), layout.migrated(), layout.kept()],
        keep,
    }
}

/// What no kept release uses any more, and caches that have grown too large.
pub fn prune_unused(steps: &mut Steps, draft: &Draft) {
    prune_runtimes(steps, draft.wanted.facts, &draft.recipe);
    prune_tools(steps, &draft.service);
    bound_caches(steps, &draft.recipe);
}

/// Where there are any that could be ours.
fn prune_runtimes(steps: &mut Steps, facts: &Facts, recipe: &Recipe) {
    let mut first = true;
    for program in runtime::archived() {
        let place = layout::runtime(program, "");
        let keep: Vec<PathBuf> =
            recipe.runtimes().into_iter().filter(|path| path.starts_with(&place)).collect();
        let installed = facts.programs.get(program).into_iter().flatten();
        if keep.is_empty() && !installed.into_iter().any(|one| one.program.starts_with(&place)) {
            continue;
        }
        let action = Action::PruneRuntimes(PruneRuntimes { runtime: program.to_owned(), keep });
        let why = "old runtimes go with the releases that used them";
        let id = if first { "prune-runtimes".to_owned() } else { format!("prune-runtimes-{program}") };
        steps.add(&id, why, action).after(&["prune"]).within(Phase::Tidy).optional();
        first = false;
    }
}

/// Likewise the tools that a supervisor brought along, in other versions than this one's.
fn prune_tools(steps: &mut Steps, service: &supervisor::Service) {
    for tool in &service.tools {
        let keep = vec![tool.path.clone()];
        let action = Action::PruneRuntimes(PruneRuntimes { runtime: tool.name.clone(), keep });
        let (id, why) = (format!("prune-{}", tool.name), "old versions go with the releases that used them");
        steps.add(&id, why, action).after(&["prune"]).within(Phase::Tidy).optional();
    }
}

/// A package manager's cache only grows: from this size on it is emptied, in MiB.
const LARGEST_CACHE: u64 = 1024;

fn bound_caches(steps: &mut Steps, recipe: &Recipe) {
    for (index, path) in recipe.caches.iter().enumerate() {
        let bound = Action::BoundCache(BoundCache { path: path.clone(), most_mib: LARGEST_CACHE });
        let id = if index == 0 { "bound-cache".to_owned() } else { format!("bound-cache-{}", index + 1) };
        let why = "a package cache is emptied when it has grown too large";
        steps.add(&id, why, bound).after(&["prune"]).within(Phase::Tidy).optional();
    }
}

/// What is given up, once, where a build finds the disk full: the release before the good one. What serves, and what is
/// being built, stay.
pub fn make_room(draft: &Draft) -> Vec<Step> {
    let Draft { wanted, generation, layout, .. } = draft;
    let mut steps = Steps::default();
    if let Some(good) = good(wanted).filter(|good| good.before.is_some()) {
        let mut keep = vec![name(&generation.release), name(&good.generation.release)];
        if generation.release == good.generation.release {
            // It was set aside to be built once more, and comes back if nothing can be built in its place.
            keep.push(name(&layout.aside(&generation.release)));
        }
        let records = vec![layout.finished(), layout.migrated()];
        let prune = Action::PruneReleases(Prune { releases: layout.releases(), records, keep });
        steps.add("make-room", "the older kept release is given up", prune).within(Phase::Tidy);
    }
    steps.finish()
}

/// The release that passed before this one.
fn before(wanted: &Wanted, generation: &Generation) -> Option<PathBuf> {
    let good = good(wanted)?;
    match good.generation.release == generation.release {
        true => good.before.clone(),
        false => Some(good.generation.release.clone()),
    }
}

/// A first choice holds from the beginning: a reboot in the middle goes on with it. A later one holds
/// only once it passed: until then a reboot brings back what served.
pub fn decide(steps: &mut Steps, wanted: &Wanted) -> Result<()> {
    let Some(instance) = &wanted.facts.instance else { return Ok(()) };
    let text = text(&Decision::of(wanted.selection, wanted.source))?;
    let why = "a reboot or a second run applies the same commit";
    let mut step = steps.file("pin", why, layout::decision(&instance.id), text, 0o600);
    step.after(&["instance"]);
    if has_served(wanted.facts) {
        step.after(&["health-check"]);
    }
    Ok(())
}

/// How many failures of a boot are remembered: a machine that is told to update every minute must not grow a file.
const MOST_FAILURES: usize = 16;

/// Whether the deployment itself may be why it did not get well after it was put to run. What its machine or another
/// process did to it is none of its faults: trying it again is right, and building it once more is not.
pub fn is_own_fault(code: Code) -> bool {
    !matches!(
        code,
        Code::Cancelled
            | Code::Deadline
            | Code::DiskFull
            | Code::HealthForeign
            | Code::ImdsAnswers
            | Code::Io
            | Code::Bug
    )
}

/// The failures of this boot without those of this deployment, and with the new one, if there is one.
pub fn failures(
    service: &Service,
    mut before: Vec<Failure>,
    deployment: &Deployment,
    new: Option<(ErrorReport, u64)>,
) -> Result<Action> {
    before.retain(|failure| failure.digest != deployment.digest);
    before.extend(new.map(|(error, at)| Failure {
        schema: records::SCHEMA,
        at,
        commit: deployment.commit.clone(),
        release: deployment.release.clone(),
        digest: deployment.digest.clone(),
        error,
    }));
    let too_many = before.len().saturating_sub(MOST_FAILURES);
    before.drain(..too_many);
    let (path, content) = (Layout::new(service).failed(), Content::Text(text(&before)?));
    Ok(Action::WriteFile { path, content, owner: Owner::root(), mode: Mode(0o600) })
}
