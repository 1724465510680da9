//! Pure: from what is and what is wanted to the plan. No disk, no network, no clock: the same inputs
//! give the same plan. This file holds the policy of the product, in the order in which it happens.

mod agent;
pub mod env;
mod health;
mod names;
mod recover;
mod remember;
pub mod runtime;
mod steps;
mod supervisor;

use std::path::PathBuf;

use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Generation, Service, Source};
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Variables;
use crate::observe::{Rendering, Selection};
use crate::plan::layout::{self, Layout};
use crate::plan::*;
use crate::secret::Secret;
use runtime::Recipe;
use steps::Steps;
use supervisor::systemd;

/// All that a plan is made of.
pub struct Wanted<'a> {
    pub facts: &'a Facts,
    pub selection: &'a Selection,
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub manifest_from: &'a Setting,
    /// Absent when the manifest says that the service has no secret.
    pub secret: Option<&'a Variables>,
    /// The environment of the last good generation, while this boot still has it.
    pub good_environment: Option<&'a Rendering>,
}

pub fn plan(wanted: &Wanted) -> Result<Plan> {
    let layout = Layout::new(&wanted.selection.service);
    names::refuse_taken(wanted.facts, &layout)?;

    let recipe = runtime::recipe(wanted.source, wanted.manifest, wanted.facts, &layout)?;
    let release = layout.release(&wanted.source.commit, &recipe.fingerprint());
    let variables = variables(wanted, &recipe)?;
    let mut notes = recipe.notes.clone();
    let generation = Generation {
        commit: wanted.source.commit.clone(),
        release: release.clone(),
        unit: systemd::unit(wanted.selection, &recipe, &layout),
        gate: health::gate(wanted.manifest, &variables, &layout, &mut notes)?,
    };
    let rendering = render(wanted, &variables, &layout, &mut notes)?;

    let mut steps = Steps::default();
    begin(&mut steps, wanted.facts, wanted.selection);
    own(&mut steps, wanted, &layout);
    build(&mut steps, wanted, &recipe, &release, &layout);
    link(&mut steps, wanted.manifest, &release, &layout);
    finish(&mut steps, &release, &layout);
    environment(&mut steps, &rendering, &layout);
    serve(&mut steps, &generation, &layout);
    let recover = recover::recover(wanted, &generation, &rendering, &layout);
    let former = recover::former(wanted, &generation, &rendering);
    remember::remember(&mut steps, wanted, &generation, rendering, &layout)?;

    Ok(Plan {
        goal: Goal::Serve,
        service: wanted.selection.service.clone(),
        environment: wanted.selection.environment.clone(),
        commit: wanted.source.commit.clone(),
        unit: layout.unit(),
        settings: settings(wanted, &recipe),
        notes,
        steps: steps.finish(),
        recover,
        former,
        budget: wanted.selection.budget,
    })
}

/// Where each setting came from: those that select first, then those that depend on what was selected.
fn settings(wanted: &Wanted, recipe: &Recipe) -> Vec<Setting> {
    let runtime = Setting {
        name: "runtime".to_owned(),
        value: recipe.runtime.clone(),
        origin: recipe.chosen_by.clone(),
    };
    wanted.selection.settings.iter().cloned().chain([wanted.manifest_from.clone(), runtime]).collect()
}

/// Everything the service finds in its environment. What is more specific wins: the runtime's
/// defaults, the manifest, the secret, and last what the start command sets itself.
fn variables(wanted: &Wanted, recipe: &Recipe) -> Result<Variables> {
    let mut all = Variables::default();
    for (name, value) in &recipe.defaults {
        all.insert(name, Secret::new(value));
    }
    if let Some(port) = wanted.manifest.port {
        all.insert("PORT", Secret::new(port.to_string()));
    }
    for (name, value) in &wanted.manifest.env.values {
        all.insert(name, Secret::new(value));
    }
    for (name, value) in wanted.secret.iter().flat_map(|secret| secret.iter()) {
        all.insert(name, value.clone());
    }
    for (name, value) in &recipe.start.environment {
        all.insert(name, Secret::new(value));
    }
    let missing: Vec<&str> = wanted
        .manifest
        .env
        .required
        .iter()
        .map(String::as_str)
        .filter(|name| all.get(name).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(all);
    }
    Err(Error::new(
        Code::SecretKeyMissing,
        format!("checking the environment of {}", wanted.selection.service),
        format!("{} has no {}", wanted.selection.secret, missing.join(", ")),
    ))
}

/// Whether the service may have its name here. Known before anything is fetched, so told before.
pub fn refuse_taken_names(facts: &Facts, service: &Service) -> Result<()> {
    names::refuse_taken(facts, &Layout::new(service))
}

/// The plan's first steps, known before the source is: from then on a reboot goes on with the run.
pub fn ahead(facts: &Facts, selection: &Selection) -> Vec<Step> {
    let mut steps = Steps::default();
    begin(&mut steps, facts, selection);
    steps.finish()
}

/// The agent and its records: nobody but root looks in.
fn begin(steps: &mut Steps, facts: &Facts, selection: &Selection) {
    steps.directory("state", "root's own records", layout::STATE.into(), Owner::root(), 0o700);
    if let Some(instance) = &facts.instance {
        let path = layout::instance_records(&instance.id);
        let why = "records of this instance, not of its image";
        steps.directory("instance", why, path, Owner::root(), 0o700).after(&["state"]);
    }
    agent::keep(steps, selection);
    if remember::good_of(facts, &selection.service).is_none() {
        agent::record_flags(steps, selection, "state");
    }
}

/// The names, users and directories that are the service's.
fn own(steps: &mut Steps, wanted: &Wanted, layout: &Layout) {
    let why = "root's own records about the service";
    steps.directory("records", why, layout.finished(), Owner::root(), 0o700).after(&["state"]);
    steps
        .file(
            "claim",
            "from here on the service's names are bootagent's",
            layout.claim(),
            format!("{}\n", layout.user()),
            0o600,
        )
        .after(&["records"]);
    let build_user = layout.build_user();
    steps.user(
        "build-user",
        "owns the releases and runs install scripts; sees no secret",
        &build_user,
        layout.cache(),
    );
    steps.user(
        "user",
        "the service's own: reads its release and environment, changes neither",
        layout.user(),
        layout.data(),
    );
    steps
        .directory(
            "releases",
            "one directory for each commit and recipe",
            layout.releases(),
            Owner::root(),
            0o755,
        )
        .after(&["claim"]);
    steps
        .directory(
            "cache",
            "home and package cache of the build user",
            layout.cache(),
            Owner::new(&build_user, &build_user),
            0o700,
        )
        .after(&["build-user"]);
    let service = Owner::new(layout.user(), layout.user());
    steps
        .directory("data", "what the service keeps over releases", layout.data(), service.clone(), 0o750)
        .after(&["user"]);
    for (index, persistent) in wanted.manifest.persist.iter().enumerate() {
        let path = layout.data().join(persistent);
        steps
            .directory(
                &format!("persist-{}", index + 1),
                "kept over releases, as the manifest asks",
                path,
                service.clone(),
                0o750,
            )
            .after(&["data"]);
    }
    steps
        .directory(
            "run",
            "the rendered environment, in memory only",
            layout.run(),
            Owner::new("root", layout.user()),
            0o750,
        )
        .after(&["user"]);
}

/// The commit's files and what the recipe makes of them, as the build user.
fn build(steps: &mut Steps, wanted: &Wanted, recipe: &Recipe, release: &std::path::Path, layout: &Layout) {
    let record = record(release, layout);
    let checkout = Checkout {
        repository: wanted.source.repository.clone(),
        branch: wanted.source.branch.clone(),
        commit: wanted.source.commit.clone(),
        release: release.to_owned(),
        record: record.clone(),
        user: layout.build_user(),
        group: layout.user().to_owned(),
        unit: layout.transient("checkout"),
    };
    let left = Action::StopLeftovers { units: layout.transient("*") };
    steps.add("leftovers", "nothing of a killed run writes into this one's release", left).within(120);
    steps
        .add("checkout", "the commit's files, written by the build user", Action::CheckOut(checkout))
        .after(&["leftovers", "releases", "build-user", "user"])
        .within(300);

    let mut environment = recipe.build_environment.clone();
    environment.insert("PATH".to_owned(), recipe.search_path(release));
    let mut last = "checkout".to_owned();
    for work in &recipe.work {
        let command = Command {
            unit: layout.transient(&work.name),
            argv: work.argv.clone(),
            user: layout.build_user(),
            group: layout.build_user(),
            directory: release.to_owned(),
            environment: environment.clone(),
            sandbox: Sandbox {
                writable: vec![release.to_owned(), layout.cache()],
                hidden: vec![RUN_DIR.into(), layout.data()],
            },
            done_by: record.clone(),
        };
        steps
            .add(&work.name, &work.why, Action::RunCommand(command))
            .after(&[&last, "cache"])
            .within(work.timeout);
        last = work.name.clone();
    }
    steps.built_by(&last);
}

const RUN_DIR: &str = layout::RUN;

fn record(release: &std::path::Path, layout: &Layout) -> PathBuf {
    layout.finished().join(release.file_name().unwrap_or_default())
}

/// The environment in the dialects of its readers.
fn render(
    wanted: &Wanted,
    variables: &Variables,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<Rendering> {
    let header =
        format!("Written by bootagent for {}; rendered anew at each boot, do not edit.", layout.user());
    let dialect = wanted.manifest.env.file.then_some(env::Dialect::Node);
    let rendered = env::render(variables, dialect, &header)?;
    if !rendered.left_out.is_empty() {
        notes.push(format!(
            "not in .env, whose reader would change them, but in the process environment: {}",
            rendered.left_out.join(", ")
        ));
    }
    Ok(Rendering { service: rendered.service, dotenv: rendered.dotenv })
}

/// Written only when the release is whole: until then the former generation runs, and may restart.
fn environment(steps: &mut Steps, rendering: &Rendering, layout: &Layout) {
    let why = "the service's environment, read by systemd";
    let service = rendering.service.clone();
    steps
        .sealed("environment", why, layout.environment(), service, Owner::root(), 0o600)
        .after(&["run", "finish"]);
    if let Some(dotenv) = rendering.dotenv.clone() {
        let why = "the same for readers of .env";
        steps
            .sealed("dotenv", why, layout.dotenv(), dotenv, Owner::new("root", layout.user()), 0o640)
            .after(&["run", "finish"]);
    }
}

/// Links from the release to what outlives it.
fn link(steps: &mut Steps, manifest: &Manifest, release: &std::path::Path, layout: &Layout) {
    let built = steps.built();
    if manifest.env.file {
        steps
            .displace(
                "dotenv-link",
                ".env stands in memory, not in the release",
                release.join(".env"),
                layout.dotenv(),
            )
            .after(&[&built]);
        steps.finished_by("dotenv-link");
    }
    for (index, persistent) in manifest.persist.iter().enumerate() {
        let id = format!("persist-link-{}", index + 1);
        let why = "the persistent directory, seen from the release";
        steps.displace(&id, why, release.join(persistent), layout.data().join(persistent)).after(&[&built]);
        steps.finished_by(&id);
    }
}

fn finish(steps: &mut Steps, release: &std::path::Path, layout: &Layout) {
    let needs = steps.before_finish();
    let action = Action::FinishRelease { release: release.to_owned(), record: record(release, layout) };
    steps
        .add("finish", "a release is whole on disk before anything points to it", action)
        .needing(needs)
        .within(120);
}

/// The generation switches together: release, unit, environment; then it runs.
fn serve(steps: &mut Steps, generation: &Generation, layout: &Layout) {
    let text = generation.unit.clone();
    steps.file("unit", "how systemd runs the service", layout.unit_file(), text, 0o644).after(&["finish"]);
    steps
        .add("reload", "systemd reads the unit", Action::ReloadUnit { unit: layout.unit() })
        .after(&["unit"])
        .within(60);
    let mut ready = vec!["finish", "reload", "environment", "data"];
    if steps.has("dotenv") {
        ready.push("dotenv");
    }
    steps
        .link("switch", "the release becomes the current one", layout.current(), generation.release.clone())
        .after(&ready);
    steps
        .add(
            "start",
            "started if down, restarted only if it runs something else",
            Action::Handover(handover(layout)),
        )
        .after(&["switch"])
        .within(120);
    let why = "only a service that stays well is in service";
    health::await_gate(steps, "gate", why, &generation.gate).after(&["start"]);
}

fn handover(layout: &Layout) -> Handover {
    Handover {
        unit: layout.unit(),
        inputs: vec![layout.unit_file(), layout.environment(), layout.current()],
        record: layout.handover(),
    }
}
