//! Steps that write the records for later runs (pinned commit, last start, last healthy deployment), and the clean-up
//! after a healthy deployment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::draft::Draft;
use super::records::{good, has_served, instance, name, text};
use super::steps::Steps;
use super::{Wanted, agent, environment, kept};
use crate::error::{Code, ErrorReport, Result};
use crate::facts::{Attempt, Facts, Failure, Generation, Good, Service, records};
use crate::fault::Phase;
use crate::observe::Decision;
use crate::plan::layout::{self, Layout};
use crate::plan::{
    Action, BoundCache, Content, Deployment, InstallTool, Mark, Mode, Owner, Prune, PruneRuntimes, Step,
};
use crate::planner::runtime::{self, Recipe};

/// Adds the records of a healthy deployment, and the removal of old releases.
pub fn remember(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let Draft { wanted, generation, rendering, layout, .. } = draft;
    pin(steps, wanted)?;
    if has_served(wanted.facts) {
        agent::record_flags(steps, wanted.selection.next_boot.as_ref(), "health-check");
    }
    let mut copies = environment::write(steps, &environment::GOOD, rendering, &["health-check"], layout);
    let change = (wanted.good_environment, rendering);
    copies.extend(environment::remove_made(steps, &environment::GOOD, change, &["health-check"], layout));
    kept::keep(steps, draft)?;

    let record = Good {
        schema: records::SCHEMA,
        instance: instance(wanted.facts),
        generation: generation.clone(),
        before: before(wanted, generation),
    };
    let why = "the deployment to go back to if a later one fails";
    let before: Vec<&str> = copies.iter().map(String::as_str).chain(["kept"]).collect();
    steps.file("good", why, layout.good(), text(&record)?, 0o600).after(&before);

    let prune = Action::PruneReleases(prune(wanted, generation, layout));
    let why = "keeps this release and the one before it";
    steps.add("prune", why, prune).after(&["good"]).within(Phase::Tidy).optional();
    Ok(())
}

/// Adds the record of the deployment that is about to be started. Written before the start, so that it is right even if
/// the machine crashes.
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

/// Removes all releases but this deployment's and the previous healthy one.
pub fn prune(wanted: &Wanted, generation: &Generation, layout: &Layout) -> Prune {
    let before = before(wanted, generation);
    let keep = std::iter::once(&generation.release).chain(&before).map(|release| name(release)).collect();
    Prune {
        releases: layout.releases(),
        records: vec![layout.finished(), layout.migrated(), layout.kept()],
        keep,
    }
}

/// Adds the steps that remove runtimes and tools that no kept release uses, and empty caches that are too large.
pub fn prune_unused(steps: &mut Steps, draft: &Draft) {
    prune_runtimes(steps, draft.wanted.facts, &draft.recipe);
    prune_tools(steps, draft.service.tools.iter().chain(draft.recipe.tools()));
    bound_caches(steps, &draft.recipe);
}

/// Adds steps that remove runtimes which no release uses, if bootagent installed any.
fn prune_runtimes(steps: &mut Steps, facts: &Facts, recipe: &Recipe) {
    let mut first = true;
    for program in runtime::archived() {
        let directory = layout::runtime(program, "");
        let keep: Vec<PathBuf> =
            recipe.runtimes().into_iter().filter(|path| path.starts_with(&directory)).collect();
        let installed = facts.programs.get(program).into_iter().flatten();
        if keep.is_empty() && !installed.into_iter().any(|one| one.program.starts_with(&directory)) {
            continue;
        }
        let action = Action::PruneRuntimes(PruneRuntimes { runtime: program.to_owned(), keep });
        let why = "removes runtimes that no release uses any more";
        let id = if first { "prune-runtimes".to_owned() } else { format!("prune-runtimes-{program}") };
        steps.add(&id, why, action).after(&["prune"]).within(Phase::Tidy).optional();
        first = false;
    }
}

/// Adds steps that remove other versions of these tools, if no release uses them.
fn prune_tools<'a>(steps: &mut Steps, tools: impl Iterator<Item = &'a InstallTool>) {
    let mut kept: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    for tool in tools {
        let keep = kept.entry(&tool.name).or_default();
        if !keep.contains(&tool.path) {
            keep.push(tool.path.clone());
        }
    }
    for (name, keep) in kept {
        let action = Action::PruneRuntimes(PruneRuntimes { runtime: name.to_owned(), keep });
        let (id, why) = (format!("prune-{name}"), "removes versions that no release uses any more");
        steps.add(&id, why, action).after(&["prune"]).within(Phase::Tidy).optional();
    }
}

/// In MiB. A package manager never shrinks its cache, which would fill the disk.
const LARGEST_CACHE: u64 = 1024;

/// Adds steps that empty the recipe's caches if they are larger than that.
fn bound_caches(steps: &mut Steps, recipe: &Recipe) {
    let mut caches: Vec<&PathBuf> = Vec::new();
    for path in recipe.parts().rev().flat_map(|part| &part.caches) {
        if !caches.contains(&path) {
            caches.push(path);
        }
    }
    for (index, path) in caches.into_iter().enumerate() {
        let bound = Action::BoundCache(BoundCache { path: path.clone(), most_mib: LARGEST_CACHE });
        let id = if index == 0 { "bound-cache".to_owned() } else { format!("bound-cache-{}", index + 1) };
        let why = "empties a package cache that is too large";
        steps.add(&id, why, bound).after(&["prune"]).within(Phase::Tidy).optional();
    }
}

/// The step for a disk that is full during a build: removes the kept release before the last healthy one. The serving
/// release and the new one are kept.
pub fn make_room(draft: &Draft) -> Vec<Step> {
    let Draft { wanted, generation, layout, .. } = draft;
    let mut steps = Steps::default();
    if let Some(good) = good(wanted).filter(|good| good.before.is_some()) {
        let mut keep = vec![name(&generation.release), name(&good.generation.release)];
        if generation.release == good.generation.release {
            // The release is set aside for a rebuild, and is used again if that fails.
            keep.push(name(&layout.aside(&generation.release)));
        }
        let records = vec![layout.finished(), layout.migrated()];
        let prune = Action::PruneReleases(Prune { releases: layout.releases(), records, keep });
        steps.add("make-room", "removes the older kept release", prune).within(Phase::Tidy);
    }
    steps.finish()
}

/// The last healthy release before this one.
fn before(wanted: &Wanted, generation: &Generation) -> Option<PathBuf> {
    let good = good(wanted)?;
    match good.generation.release == generation.release {
        true => good.before.clone(),
        false => Some(good.generation.release.clone()),
    }
}

/// Adds the record of the pinned commit. The first one is written at once, so that a reboot during the run continues
/// with the same commit. A later one is written after the health check: until then a reboot starts the previous
/// deployment.
pub fn pin(steps: &mut Steps, wanted: &Wanted) -> Result<()> {
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

/// Failures that the record of a boot has at most: updates every minute must not let the file grow for ever.
const MOST_FAILURES: usize = 16;

/// Whether the deployment itself may be the cause of a failure after its start. If the machine or another process
/// is, the deployment may be tried again in this boot, and a rebuild would not help.
pub fn may_be_caused_by_deployment(code: Code) -> bool {
    !matches!(
        code,
        Code::Cancelled
            | Code::Deadline
            | Code::DiskFull
            | Code::HealthForeign
            | Code::HookFailed
            | Code::ImdsAnswers
            | Code::Io
            | Code::Bug
    )
}

/// Writes the record of this boot's failures: `before` without those of this deployment, plus the new one, if any.
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
