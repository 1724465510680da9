//! The planner: makes a plan from the facts about the machine, the selection, the manifest and the secret. Pure: no
//! disk, no network, no clock; the same inputs give the same plan. This file has the order of a plan's steps.

mod accounts;
mod agent;
mod build;
pub mod candidate;
pub mod env;
mod environment;
mod fallback;
mod health;
mod imds;
mod kept;
mod migrate;
mod names;
mod network;
mod packages;
pub mod persist;
mod records;
mod recover;
mod remember;
pub mod retry;
pub mod runtime;
mod steps;
pub mod supervisor;
mod switch;
mod unmet;

use crate::error::Result;
use crate::facts::{Commit, Facts, Generation, Instance, Service, Source, Supervised, Takes};
use crate::fault::Phase;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Variables;
use crate::observe::{NextBoot, Selection};
use crate::plan::environment::FILES;
use crate::plan::layout::{self, Layout};
use crate::plan::*;
use crate::secret::Redaction;
pub use fallback::{may_start_after, start_good, to_start};
pub use kept::rendering as kept_rendering;
pub use kept::{Lost, lost_decision, of as kept_of, of_commit as kept_of_commit, ran_here};
pub use recover::running;
pub use remember::{failures, is_own_fault};
use runtime::{Draft, Recipe};
use sha2::{Digest, Sha256};
use steps::Steps;
pub use unmet::{MOST_QUESTIONS, Unmet};

/// The inputs of a plan.
pub struct Wanted<'a> {
    pub facts: &'a Facts,
    pub selection: &'a Selection,
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub manifest_from: &'a Setting,
    /// `None` if the manifest says that the service has no secret.
    pub secret: Option<&'a Variables>,
    /// The environment of the last healthy deployment. `None` after a reboot: it is kept on tmpfs only.
    pub good_environment: Option<&'a Rendering>,
}

/// Makes the plan. If it needs a fact that only the network has, it returns `Unmet::Ask`; the caller gets the answer
/// and calls it again.
pub fn plan(wanted: &Wanted) -> Result<Plan, Unmet> {
    let layout = Layout::new(&wanted.selection.service);
    names::refuse_masked(wanted.facts, &layout)?;
    names::refuse_taken(wanted.facts, &layout)?;

    let selection = wanted.selection;
    let recipe = runtime::recipe(&Draft {
        source: wanted.source,
        manifest: wanted.manifest,
        facts: wanted.facts,
        archives: &selection.archives,
        mirrors: &selection.mirrors,
        packages: &selection.packages,
        layout: &layout,
        is_started_by_supervisor: supervisor::starts(wanted.source, wanted.manifest),
    })?;
    persist::refuse(wanted.source, wanted.manifest, &recipe)?;
    let release = kept::release(wanted, &recipe, &layout);
    let variables =
        kept::variables(&wanted.selection.service, &kept::ingredients(wanted, &recipe), wanted.secret)?;
    let mut notes = operator_notes(wanted);
    notes.extend(recipe.notes.iter().cloned());
    persist::notes(wanted.source, wanted.manifest, &mut notes);
    notes.push(accounts::may_write(wanted.manifest, &layout));
    let mut gate = health::gate(wanted.manifest, &variables, &layout, &mut notes)?;
    let app = supervisor::App {
        wanted,
        recipe: &recipe,
        release: &release,
        variables: &variables,
        layout: &layout,
    };
    let service = supervise(&app, &mut notes)?;
    gate.also = service.probes.clone();
    if let Some(good) = records::good(wanted) {
        health::compare(&good.generation.gate, &gate, wanted.manifest.health.check, &mut notes)?;
    }
    let generation = Generation {
        commit: wanted.source.commit.clone(),
        release: release.clone(),
        runs_by: service.runs_by.clone(),
        gate,
    };
    let rendering = environment::render(wanted, &recipe, &variables, &layout, &mut notes)?;
    candidate::refuse(wanted.manifest.candidate_port, generation.gate.probe.port(), &recipe.start)?;
    let former = recover::another(wanted, &generation, &rendering);
    let candidate = candidate::due(wanted, former);

    let mut steps = Steps::default();
    begin(&mut steps, wanted.facts, wanted.selection)?;
    accounts::create(&mut steps, wanted, &layout);
    let homes = service.own(&mut steps, &layout);
    imds::let_service_through(&mut steps, wanted.facts, wanted.selection)?;
    build::build(&mut steps, wanted, &recipe, &release, &layout)?;
    build::link(&mut steps, wanted.manifest, &rendering, &release, &layout);
    service.install(&mut steps);
    service.evaluate(&mut steps);
    let uses = recipe.runtimes().into_iter().chain(service.tools().cloned()).collect();
    build::finish(&mut steps, uses, &release, &layout);
    migrate::migrate(&mut steps, wanted, &recipe, &release, &rendering, &layout)?;
    if let Some(port) = candidate {
        candidate::prove(&mut steps, wanted, &recipe, &release, &variables, port, &layout)?;
    }
    let prepared = before_serving(&steps);
    environment::write(&mut steps, &environment::SERVING, &rendering, &["run", prepared], &layout);
    let switched_from = switch::former_generation(wanted.facts, &wanted.selection.service);
    serve(&mut steps, wanted, &generation, homes, former.or(switched_from).is_some(), &layout)?;
    let recover = recover::recover(wanted, &generation, &rendering, candidate.is_some(), &layout);
    let deployment = Deployment {
        commit: generation.commit.clone(),
        release,
        digest: digest(&generation, &rendering),
        is: recover::compared(wanted, &generation, &rendering, &variables),
    };
    remember::remember(&mut steps, wanted, &recipe, &generation, &rendering, &layout)?;
    remember::prune_runtimes(&mut steps, wanted.facts, &recipe);
    remember::prune_tools(&mut steps, &service);
    remember::bound_caches(&mut steps, &recipe);

    Ok(Plan {
        goal: Goal::Serve,
        service: wanted.selection.service.clone(),
        environment: wanted.selection.environment.clone(),
        commit: wanted.source.commit.clone(),
        unit: layout.unit(),
        settings: settings(wanted, &recipe),
        notes,
        steps: steps.finish(),
        rebuild: recover::rebuild(wanted, &generation, &layout),
        recover,
        room: remember::make_room(wanted, &generation, &layout),
        former: goes_back_to(wanted).cloned(),
        only_on_an_instance: only_on_an_instance(wanted)?,
        deployment,
        budget: wanted.selection.budget,
        redaction: Redaction::new(wanted.secret.iter().flat_map(|secret| secret.iter())),
    })
}

/// The unit and files that the manifest's supervisor makes for the service.
fn supervise(app: &supervisor::App, notes: &mut Vec<String>) -> Result<supervisor::Service> {
    let supervisor = supervisor::of(app.wanted.manifest);
    (supervisor.refuse)(app.wanted.source, app.wanted.manifest, app.recipe)?;
    let service = (supervisor.supervise)(app)?;
    notes.extend(service.notes.iter().cloned());
    Ok(service)
}

/// Paths of the repository's files whose text a fetch must read for planning.
pub fn evidence() -> Vec<String> {
    runtime::evidence().into_iter().chain(supervisor::evidence().map(str::to_owned)).collect()
}

/// The deployment that a failed run goes back to. If this run switches to another service, it is the former service's.
fn goes_back_to<'a>(wanted: &Wanted<'a>) -> Option<&'a Generation> {
    let (facts, service) = (wanted.facts, &wanted.selection.service);
    match switch::goes_back(facts, service) {
        true => switch::former_generation(facts, service),
        false => records::good_of(facts, service).map(|good| &good.generation),
    }
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
    notes
}

/// If the machine is not an EC2 instance: the ids of the steps that only an instance's plan has, which record its
/// choices for the next boot. The placeholder instance id is never shown.
fn only_on_an_instance(wanted: &Wanted) -> Result<Vec<StepId>> {
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

/// Each setting with its origin: first those of the selection, then those that depend on them.
fn settings(wanted: &Wanted, recipe: &Recipe) -> Vec<Setting> {
    let runtime = Setting {
        name: "runtime".to_owned(),
        value: recipe.runtime.clone(),
        origin: recipe.chosen_by.clone(),
    };
    wanted.selection.settings.iter().cloned().chain([wanted.manifest_from.clone(), runtime]).collect()
}

/// Identifies a deployment within a boot: SHA-256 of its release's path, unit, environment and files. The length before
/// each part keeps two different lists of parts from having the same bytes.
fn digest(generation: &Generation, rendering: &Rendering) -> String {
    let release = generation.release.display().to_string();
    let files = FILES.iter().map(|file| rendering.text(file).map(|text| text.expose()).unwrap_or_default());
    let mut hash = Sha256::new();
    let supervisor_files = generation.runs_by.files.iter().map(|file| file.text.as_str());
    let unit = &generation.runs_by.unit;
    for part in [release.as_str(), unit].into_iter().chain(files).chain(supervisor_files) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Errors that are known before the repository is fetched: unknown names in the policy, a masked unit, and a service
/// name that is taken.
pub fn refuse_early(facts: &Facts, selection: &Selection) -> Result<()> {
    runtime::refuse_unknown(selection)?;
    let layout = Layout::new(&selection.service);
    names::refuse_masked(facts, &layout)?;
    names::refuse_taken(facts, &layout)
}

/// The commit that was last healthy on this instance, and the one that was last started.
pub fn remembered<'a>(facts: &'a Facts, service: &Service) -> (Option<&'a Commit>, Option<&'a Commit>) {
    let passed = records::good_of(facts, service).map(|good| &good.generation.commit);
    (passed, records::attempted(facts, service))
}

/// The plan's first steps, which do not depend on the repository. Once they are done, a reboot continues the run.
pub fn ahead(facts: &Facts, selection: &Selection) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    begin(&mut steps, facts, selection)?;
    Ok(steps.finish())
}

/// The steps that a retry of this run depends on: the agent's unit and the run's flags. They need only the
/// instance's id, so that a run that fails while it reads the tags is retried, too.
pub fn before_the_tags(facts: &Facts, next_boot: Option<&NextBoot>) -> Vec<Step> {
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
fn begin(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    let fetch = [format!("{}.service", layout::FETCH), layout::document_unit(layout::FETCH)];
    let units = [Layout::new(&selection.service).transient("*")].into_iter().chain(fetch).collect();
    let mut scratch = Vec::from(layout::scratch(layout::FETCH));
    scratch.push(layout::UNFINISHED_RUNTIME.into());
    scratch.push(Layout::new(&selection.service).migration());
    scratch.extend(Layout::new(&selection.service).candidate_paths());
    scratch.push(Layout::new(&selection.service).unfinished_failures());
    let left = Action::StopLeftovers { units, scratch };
    steps.add("clean-up", "stops and removes what a killed run left", left).within(Phase::Tidy);
    prepare_retry(steps, facts, selection.next_boot.as_ref());
    imds::rules(steps, facts, selection)
}

fn header(layout: &Layout) -> String {
    format!("Written by bootagent for {}; do not edit: each run replaces this file.", layout.user())
}

/// The step after which files of the serving deployment are replaced. Until then a failure does not affect it.
fn before_serving(steps: &Steps) -> &'static str {
    ["candidate-end", "migrate"].into_iter().find(|id| steps.has(id)).unwrap_or("finish")
}

/// Replaces the unit and its files, switches `current` to the new release, starts it, and awaits its health.
fn serve(
    steps: &mut Steps,
    wanted: &Wanted,
    generation: &Generation,
    homes: Vec<StepId>,
    can_go_back: bool,
    layout: &Layout,
) -> Result<()> {
    let prepared = before_serving(steps);
    let text = generation.runs_by.unit.clone();
    steps.file("unit", "how systemd runs the service", layout.unit_file(), text, 0o644).after(&[prepared]);
    let mut files = vec![StepId::new("unit")];
    for file in &generation.runs_by.files {
        steps.file(&file.name, &file.why, file.path.clone(), file.text.clone(), 0o644).after(&[prepared]);
        files.push(StepId::new(&file.name));
    }
    if let Some(good) = records::good(wanted) {
        let (old, new) = (&good.generation.runs_by, &generation.runs_by);
        let removed = fallback::remove_files(steps, old, new, &[prepared]);
        files.extend(removed.into_iter().map(StepId::new));
    }
    steps
        .add("reload", "systemd reads the unit", Action::ReloadUnit { unit: layout.unit() })
        .needing(files)
        .within(Phase::Reload);
    let ready = [prepared, "reload", "environment", "dotenv", "data"];
    remember::attempt(steps, wanted, generation, layout, &ready)?;
    steps
        .link("switch", "the release becomes the current one", layout.current(), generation.release.clone())
        .after(&["attempt"])
        .marks(Mark::Switched)
        .needing(homes)
        .needing(accounts::persistent(wanted.manifest).map(|(id, _)| StepId::new(id)).collect());
    let stopped = switch::stop_former(steps, wanted.facts, &wanted.selection.service);
    steps
        .add(
            "start",
            "started if it is down, restarted only if what it depends on changed",
            Action::EnsureRunning(ensure_running(&generation.runs_by, layout)),
        )
        .after(&["switch"])
        .needing(stopped)
        .within(Phase::Start)
        .marks(Mark::Started);
    let why = "the run succeeds only if the service is healthy";
    let wait = health::wait(&generation.gate, wanted.manifest, can_go_back);
    health::await_health(steps, "health-check", why, wait).after(&["start"]).marks(Mark::Passed);
    Ok(())
}

/// Starts or restarts the service's unit, depending on all files, links and directories that a deployment consists of.
fn ensure_running(runs_by: &Supervised, layout: &Layout) -> EnsureRunning {
    let mut inputs = vec![layout.unit_file(), layout.environment(), layout.current(), layout.data()];
    inputs.extend(runs_by.files.iter().map(|file| file.path.clone()));
    inputs.extend(runs_by.reads.iter().cloned());
    let reloads = match runs_by.takes {
        Takes::Restart => Vec::new(),
        Takes::Reload => vec![layout.current()],
    };
    EnsureRunning { unit: layout.unit(), inputs, reloads, record: layout.started_from() }
}
