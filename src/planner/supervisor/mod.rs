//! Who keeps the service running. A supervisor turns an app into a `Service`: the unit and files that come and go with
//! the generation, and what those need on the machine. Pure: it adds no step itself.
//!
//! A new supervisor is one new file, its name in the manifest, its line in `ALL`, and a folder under `tests/plans`.

mod pm2;
pub mod systemd;

use std::path::{Path, PathBuf};

use super::runtime::Recipe;
use super::steps::Steps;
use super::{Wanted, imds};
use crate::error::Result;
use crate::facts::{Source, Supervised};
use crate::fault::Phase;
use crate::observe::manifest::{Manifest, SupervisorName};
use crate::observe::secrets::Variables;
use crate::plan::layout::Layout;
use crate::plan::{Action, Evaluation, InstallTool, Owner, Probe, StepId};

/// One way to run a service, as a row of data and functions.
pub struct Supervisor {
    pub name: SupervisorName,
    /// Files of the repository that it reads.
    pub evidence: &'static [&'static str],
    /// Whether the repository says by one of them what is started.
    pub starts: fn(&Source, &Manifest) -> bool,
    /// What cannot work with it, as far as a repository alone tells.
    pub refuse: fn(&Source, &Manifest, &Recipe) -> Result<()>,
    pub supervise: fn(&App) -> Result<Service>,
}

pub const ALL: [&Supervisor; 2] = [&systemd::SYSTEMD, &pm2::PM2];

/// What is to be kept running.
pub struct App<'a> {
    pub wanted: &'a Wanted<'a>,
    pub recipe: &'a Recipe,
    pub release: &'a Path,
    /// What the service finds in its environment.
    pub variables: &'a Variables,
    pub layout: &'a Layout,
}

/// What a supervisor makes of an app.
#[derive(Default)]
pub struct Service {
    pub runs_by: Supervised,
    /// What must hold beside the manifest's own health check.
    pub probes: Vec<Probe>,
    /// Programs that this machine gets once, for all of its services.
    pub tools: Vec<InstallTool>,
    /// What the release's own programs say of it, before it is finished.
    pub evaluations: Vec<(String, Evaluation)>,
    /// Directories of the service's own, which no other user can look into.
    pub homes: Vec<(String, PathBuf)>,
    pub notes: Vec<String>,
}

/// The manifest's, else systemd.
pub fn of(manifest: &Manifest) -> &'static Supervisor {
    let wanted = manifest.supervisor();
    ALL.into_iter().find(|supervisor| supervisor.name == wanted).unwrap_or(&systemd::SYSTEMD)
}

/// Whether the repository says to its supervisor what is started.
pub fn starts(source: &Source, manifest: &Manifest) -> bool {
    (of(manifest).starts)(source, manifest)
}

/// The files whose text a fetch brings along for supervisors.
pub fn evidence() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().flat_map(|supervisor| supervisor.evidence.iter().copied())
}

impl Service {
    /// What this machine gets once, beside the build: the release needs it.
    pub fn install(&self, steps: &mut Steps) {
        for tool in &self.tools {
            let why = "exactly what this program's own lockfile says, once for this machine";
            let archive: Vec<&str> = ["runtime"].into_iter().filter(|id| steps.has(id)).collect();
            let rules: Vec<&str> = imds::LAST.into_iter().filter(|id| steps.has(id)).collect();
            steps
                .add(&tool.name, why, Action::InstallTool(tool.clone()))
                .after(&["clean-up", "build-user", "cache"])
                .after(&archive)
                .after(&rules)
                .within(Phase::Install);
            steps.finished_by(&tool.name);
        }
    }

    /// What the release says of itself, before anything runs from it.
    pub fn evaluate(&self, steps: &mut Steps) {
        let built = steps.built();
        let tools: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        for (id, evaluation) in &self.evaluations {
            let why = "what the repository says of its processes, held to a list";
            steps
                .add(id, why, Action::Evaluate(evaluation.clone()))
                .after(&[&built, "user"])
                .after(&tools)
                .within(Phase::Evaluate);
            steps.finished_by(id);
        }
    }

    /// The service's own directories; the steps that make them.
    pub fn own(&self, steps: &mut Steps, layout: &Layout) -> Vec<StepId> {
        let owner = Owner::new(layout.user(), layout.user());
        for (id, path) in &self.homes {
            let why = "its supervisor's own files, for no other user";
            steps.directory(id, why, path.clone(), owner.clone(), 0o700).after(&["data"]);
        }
        self.homes.iter().map(|(id, _)| StepId::new(id)).collect()
    }

    /// Tools that are ours to remove, and that this release needs.
    pub fn tools(&self) -> impl Iterator<Item = &PathBuf> {
        self.tools.iter().map(|tool| &tool.path)
    }
}
