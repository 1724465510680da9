//! Supervisors keep a service running: systemd alone, PM2 in a systemd unit, or, for a static site, nginx in one. A supervisor makes a `Service` of an
//! `App`: the unit and files of a deployment, and what they need on the machine. Pure: supervisors add no steps;
//! `Service` does.
//!
//! A new supervisor is one new file, its name in the manifest, a line in `ALL`, and directories in `tests/plans`.

mod compose;
mod compose_file;
mod compose_limits;
mod compose_unit;
mod data_host;
pub mod docker;
mod nginx;
mod pm2;
pub mod processes;
pub mod restarts;
pub mod service_unit;
pub mod systemd;
pub mod unit_syntax;

use std::path::{Path, PathBuf};

use super::runtime::{Kind, Recipe};
use super::steps::Steps;
use super::{Wanted, imds};
use crate::error::Result;
use crate::facts::{Source, Supervised};
use crate::fault::Phase;
use crate::observe::manifest::{Manifest, SupervisorName};
use crate::observe::secrets::Variables;
use crate::plan::layout::Layout;
use crate::plan::{Action, Evaluation, InitializeData, InstallTool, Owner, Probe, StepId};

/// All that is specific to one supervisor.
pub struct Supervisor {
    pub name: SupervisorName,
    /// Paths of the repository's files that it reads.
    pub evidence: &'static [&'static str],
    /// Whether one of these files names what is started.
    pub starts: fn(&Source, &Manifest) -> bool,
    /// Fails if the repository or its manifest has something that the supervisor does not support.
    pub refuse: fn(&Source, &Manifest, &Recipe) -> Result<()>,
    pub supervise: fn(&App) -> Result<Service>,
}

pub const ALL: [&Supervisor; 2] = [&systemd::SYSTEMD, &pm2::PM2];

/// The program that a supervisor is to run.
pub struct App<'a> {
    pub wanted: &'a Wanted<'a>,
    pub recipe: &'a Recipe,
    pub release: &'a Path,
    /// All variables of the service.
    pub variables: &'a Variables,
    pub layout: &'a Layout,
}

impl App<'_> {
    /// The service's port.
    pub fn port(&self) -> Option<u16> {
        let port = self.variables.get("PORT")?.expose().trim().parse().ok()?;
        (port != 0).then_some(port)
    }
}

/// How a supervisor runs an app.
#[derive(Default)]
pub struct Service {
    pub runs_by: Supervised,
    /// Probes of the health check in addition to the manifest's.
    pub probes: Vec<Probe>,
    /// Tools to install once for all services of the machine.
    pub tools: Vec<InstallTool>,
    /// Files of the release to evaluate before it is complete, each with the id of its step.
    pub evaluations: Vec<(String, Evaluation)>,
    /// Directories that only the service's user can enter, each with the id of its step.
    pub homes: Vec<(String, PathBuf)>,
    /// The first data of a database server.
    pub first_data: Option<InitializeData>,
    pub notes: Vec<String>,
}

/// What serves a static site, or runs a container or a database server; else the supervisor that the manifest names, else systemd.
pub fn of(manifest: &Manifest, recipe: &Recipe) -> &'static Supervisor {
    match &recipe.kind {
        Kind::Site(_) => &nginx::NGINX,
        Kind::DataHost(_) => &data_host::DATA_HOST,
        Kind::Container(_) => &docker::DOCKER,
        Kind::Compose(_) => &compose::COMPOSE,
        Kind::Program => named(manifest),
    }
}

fn named(manifest: &Manifest) -> &'static Supervisor {
    let wanted = manifest.supervisor();
    ALL.into_iter().find(|supervisor| supervisor.name == wanted).unwrap_or(&systemd::SYSTEMD)
}

/// Whether a file of the supervisor in the repository names what is started.
pub fn starts(source: &Source, manifest: &Manifest) -> bool {
    (named(manifest).starts)(source, manifest)
}

/// Paths of the files whose text a fetch must read for supervisors.
pub fn evidence() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().flat_map(|supervisor| supervisor.evidence.iter().copied())
}

impl Service {
    /// Adds the steps that install tools. They may run at the same time as the build.
    pub fn install(&self, steps: &mut Steps) {
        for tool in &self.tools {
            let why = "installs exactly the versions in bootagent's lockfile, once for this machine";
            let archive: Vec<&str> = ["runtime"].into_iter().filter(|id| steps.has(id)).collect();
            let rules: Vec<&str> = imds::LAST.into_iter().filter(|id| steps.has(id)).collect();
            let after: Vec<&str> = archive.into_iter().chain(rules).collect();
            steps.tool(&tool.name, tool, why, &after);
        }
    }

    /// Adds the steps that evaluate files of the release, before it is complete.
    pub fn evaluate(&self, steps: &mut Steps) {
        let built = steps.built();
        let tools: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        for (id, evaluation) in &self.evaluations {
            let why = "checks which processes the repository's file asks for";
            steps
                .add(id, why, Action::Evaluate(evaluation.clone()))
                .after(&[&built, "user"])
                .after(&tools)
                .within(Phase::Evaluate);
            steps.finished_by(id);
        }
    }

    /// Adds the steps that make the supervisor's directories. Returns their ids.
    pub fn own(&self, steps: &mut Steps, layout: &Layout) -> Vec<StepId> {
        let owner = Owner::new(layout.user(), layout.user());
        for (id, path) in &self.homes {
            let why = "files of the supervisor, closed to other users";
            steps.directory(id, why, path.clone(), owner.clone(), 0o700).after(&["data"]);
        }
        self.homes.iter().map(|(id, _)| StepId::new(id)).collect()
    }

    /// Paths of the tools that this release needs.
    pub fn tools(&self) -> impl Iterator<Item = &PathBuf> {
        self.tools.iter().map(|tool| &tool.path)
    }
}
