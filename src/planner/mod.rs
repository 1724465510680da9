//! The planner: makes a plan from the facts about the machine, the selection, the manifest and the secret. Pure: no
//! disk, no network, no clock; the same inputs give the same plan. This file makes the draft; `goal` has the order of the
//! steps.

mod accounts;
mod agent;
mod ahead;
mod baked;
mod beside;
mod build;
mod cache;
pub mod candidate;
mod compared;
pub mod compose;
mod data_host;
mod digest;
mod directory;
mod draft;
pub mod env;
mod environment;
mod evidence;
mod fallback;
mod finished;
mod fleet;
mod goal;
mod health;
mod hooks;
mod image;
mod imds;
mod kept;
mod limits;
pub mod lint;
mod migrate;
mod names;
mod network;
mod nginx;
mod packages;
pub mod permissions;
pub mod persist;
mod process_units;
mod proxy;
mod records;
mod recover;
mod registries;

mod remember;
pub mod retry;
mod running;
pub mod runtime;
mod signal;
mod site;
mod start;
mod steps;
pub mod supervisor;
mod switch;
mod unmet;
mod unset;
mod upkeep;
mod value_files;
pub mod values;
mod volume;
mod wait_for;
mod watch;
mod writable;

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Facts, Generation, OwnManifest, Service, Source};
use crate::observe::Selection;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Variables;
use crate::plan::Plan;
use crate::plan::layout::Layout;
use crate::secret::excerpt;
pub use ahead::{ahead, retry_steps};
pub use baked::{baked, refuse_used};
use draft::Draft;
pub use draft::Wanted;
pub use fallback::{allows_fallback, fallback_steps, to_start};
pub use fleet::{failure as fleet_failure, may_be_caused_by_commit};
pub use hooks::refuse as refuse_hooks;
pub use kept::rendering as kept_rendering;
pub use kept::{
    Lost, of as kept_of, of_commit as kept_of_commit, replacement_for_lost_pin, services_deployed_here,
};
pub use records::text as record;
pub use remember::{failures, may_be_caused_by_deployment};
pub use running::running;
use runtime::{Kind, Recipe};
use steps::Steps;
pub use unmet::{MAX_QUESTIONS, Unmet};

/// Makes the plan. If it needs a fact that only the network has, it returns `Unmet::Ask`; the caller gets the answer
/// and calls it again.
pub fn plan(wanted: &Wanted) -> Result<Plan, Unmet> {
    let source = directory::seen(wanted.source, wanted.manifest)?;
    let wanted = Wanted { source: &source, ..*wanted };
    let draft = draft(&wanted)?;
    Ok(match () {
        () if wanted.selection.bakes => goal::bake(&draft)?,
        () if signal::enters_pool(&wanted) => goal::prepare(&draft)?,
        () => goal::serve(&draft)?,
    })
}

/// Makes the draft, or the error of what cannot work.
fn draft<'a>(wanted: &'a Wanted<'a>) -> Result<Draft<'a>, Unmet> {
    let layout = Layout::new(&wanted.selection.service);
    names::refuse_masked(wanted.facts, &layout)?;
    names::refuse_taken(wanted.facts, &layout)?;

    proxy::refuse_low_ports(wanted.manifest, wanted.selection)?;
    limits::refuse(wanted)?;
    let mut recipe = recipe(wanted, &layout)?;
    proxy::refuse(wanted.manifest, &recipe)?;
    recipe.needs.extend(proxy::need(wanted));
    persist::refuse(wanted.source, wanted.manifest, &recipe)?;
    writable::refuse(wanted.source, wanted.manifest, &recipe)?;
    recipe.writable.clone_from(&wanted.manifest.writable);
    value_files::refuse(wanted, &recipe)?;
    let release = kept::release(wanted, &recipe, &layout);
    let ingredients = kept::ingredients(wanted, &recipe);
    let variables = kept::variables(&wanted.selection.service, &ingredients, wanted.secret)?;
    refuse_for_repositories(wanted, &recipe)?;
    let confidential = compose::confidential(&ingredients.compose, wanted.secret, &variables);
    let mut notes = operator_notes(wanted);
    notes.extend(recipe.parts().rev().flat_map(|part| part.notes.iter().cloned()));
    notes.extend(gitlinks(wanted.source));
    notes.extend(limits::notes(wanted));
    persist::notes(wanted.source, wanted.manifest, &mut notes);
    match &recipe.kind {
        Kind::Site(_) => notes.extend(site::not_built_in(wanted)),
        Kind::DataHost(_) => {}
        Kind::Container(_) | Kind::Compose(_) => notes.extend(image::note(&recipe)),
        Kind::Program => notes.push(accounts::may_write(wanted.manifest, &layout)),
    }
    let unset = unset::of(wanted.source, &variables).filter(|_| !records::has_served(wanted.facts));
    notes.extend(unset.as_ref().map(unset::note));

    let mut gate = health::gate(wanted, &variables, &recipe, &layout, &mut notes)?;
    let (release_path, of) = (release.as_path(), (&recipe, &variables, &layout));
    let mut service = supervise(wanted, release_path, of, &mut notes)?;
    gate.also = service.probes.clone();
    if let Some((companion, probe)) = proxy::proxy(wanted, &layout, &gate)? {
        service.runs_by.beside.push(companion);
        gate.also.push(probe);
    }
    health::compare_with_good(wanted, &gate, &mut notes)?;
    let commit = wanted.source.commit.clone();
    let generation = Generation { commit, release, runs_by: service.runs_by.clone(), gate };
    let rendering = environment::render(wanted, &recipe, &variables, &layout, &mut notes)?;
    candidate::refuse(wanted.manifest.candidate_port, generation.gate.probe.port(), &recipe.start)?;
    Ok(Draft { wanted, layout, recipe, variables, confidential, rendering, service, generation, notes })
}

fn recipe(wanted: &Wanted, layout: &Layout) -> Result<Recipe, Unmet> {
    let selection = wanted.selection;
    runtime::recipe(&runtime::RecipeInputs {
        source: wanted.source,
        manifest: wanted.manifest,
        facts: wanted.facts,
        archives: &selection.archives,
        mirrors: &selection.mirrors,
        packages: &selection.packages,
        network: &selection.network,
        requires_lockfile: wanted.manifest.lockfile.unwrap_or(selection.lockfile),
        npm_installs: selection.npm_installs,
        layout,
        starts: runtime::Starts::of(supervisor::starts(wanted.source, wanted.manifest)),
    })
}

/// The unit and files that the manifest's supervisor makes for the service.
fn supervise(
    wanted: &Wanted,
    release: &Path,
    (recipe, variables, layout): (&Recipe, &Variables, &Layout),
    notes: &mut Vec<String>,
) -> Result<supervisor::Service> {
    let supervisor = supervisor::of(wanted.manifest, recipe);
    (supervisor.refuse)(wanted.source, wanted.manifest, recipe)?;
    let app = supervisor::App { wanted, recipe, release, variables, layout };
    let mut service = (supervisor.supervise)(&app)?;
    supervisor::processes::add(&app, &mut service)?;
    notes.extend(service.notes.iter().cloned());
    Ok(service)
}

/// Notes about a hold, a disabled agent, the selection, and a switch of services.
fn operator_notes(wanted: &Wanted) -> Vec<String> {
    let Wanted { facts, selection, .. } = wanted;
    let hold = facts.operator.hold.as_ref();
    let hold =
        hold.map(|_| "this machine is held: a real run ends at once, until bootagent unhold".to_owned());
    let mut notes: Vec<String> = hold.into_iter().chain(agent::note(facts, selection)).collect();
    notes.extend(selection.notes.iter().cloned());
    notes.extend(switch::notes(facts, &selection.service));
    if selection.bakes {
        notes.extend(baked::note(selection));
        return notes;
    }
    notes.extend(signal::notes(wanted));
    notes.extend(fleet::notes(wanted));
    notes.extend(fleet::copy_note(wanted.source));
    notes.extend(watch::notes(wanted));
    notes.extend(evidence::notes(wanted));
    notes
}

/// A note about submodules without a description: the directories are empty in every clone, also on a developer's machine.
fn gitlinks(source: &Source) -> Option<String> {
    let [first, more @ ..] = source.gitlinks.as_slice() else { return None };
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let path = excerpt(first);
    Some(format!(
        "{path}{more} is an empty directory: git records another repository's commit there, and no .gitmodules says which \
         (git rm --cached {path} removes it from the repository)"
    ))
}

/// Paths of the repository's files whose text a fetch must read for planning.
pub fn evidence() -> Vec<String> {
    let examples = unset::FILES.into_iter().map(str::to_owned);
    runtime::evidence().into_iter().chain(supervisor::evidence().map(str::to_owned)).chain(examples).collect()
}

/// The deployment that a failed run goes back to. If this run switches to another service, it is the former service's.
fn goes_back_to<'a>(wanted: &Wanted<'a>) -> Option<&'a Generation> {
    let (facts, service) = (wanted.facts, &wanted.selection.service);
    match switch::goes_back(facts, service) {
        true => switch::former_generation(facts, service),
        false => records::good_of(facts, service).map(|good| &good.generation),
    }
}

/// Errors that are known before the repository is fetched: unknown names in the policy, a masked unit, and a service
/// name that is taken.
pub fn refuse_early(facts: &Facts, selection: &Selection) -> Result<()> {
    runtime::refuse_unknown(selection)?;
    hooks::refuse(&facts.hooks)?;
    let layout = Layout::new(&selection.service);
    names::refuse_masked(facts, &layout)?;
    names::refuse_taken(facts, &layout)
}

/// The commit that was last healthy on this instance, and the one that was last started.
pub fn remembered<'a>(facts: &'a Facts, service: &Service) -> (Option<&'a Commit>, Option<&'a Commit>) {
    let passed = records::good_of(facts, service).map(|good| &good.generation.commit);
    (passed, records::attempted(facts, service))
}

fn header(layout: &Layout) -> String {
    format!("Written by bootagent for {}; do not edit: each run replaces this file.", layout.user())
}

/// The step after which files of the serving deployment are replaced. Until then a failure does not affect it.
fn before_serving(steps: &Steps) -> &'static str {
    [
        hooks::BEFORE_START,
        data_host::FIRST_DATA,
        "candidate-end",
        "candidate-health-check",
        "migrate",
        "wait-for",
    ]
    .into_iter()
    .find(|id| steps.has(id))
    .unwrap_or("finish")
}

/// The key that only the operator's manifest may have: a repository may not choose which disk is mounted, or which of the
/// distribution's servers is masked.
fn only_of_operators(manifest: &Manifest, recipe: &Recipe) -> Option<String> {
    let of_a_host = recipe.data_host().map(|_| format!("runtime = \"{}\"", recipe.of.name));
    of_a_host.or_else(|| manifest.volume.as_ref().map(|_| "[volume]".to_owned()))
}

fn refuse_for_repositories(wanted: &Wanted, recipe: &Recipe) -> Result<()> {
    let is_of_the_repository = wanted.manifest_from.value == OwnManifest::NAME;
    let key = only_of_operators(wanted.manifest, recipe).filter(|_| is_of_the_repository);
    let Some(key) = key else { return Ok(()) };
    let service = &wanted.selection.service;
    Err(Error::new(
        Code::PolicyRefused,
        "planning what the service needs of the machine",
        format!("{key} is for the operator's manifest, not for a repository's"),
    )
    .remedy(format!("write it into /etc/bootagent/services/{service}.toml of the AMI or of user-data")))
}
