//! Builder for the list of a plan's steps, with short forms for frequent actions.

use std::path::PathBuf;

use crate::fault::Phase;
use crate::plan::*;
use crate::secret::Sealed;

/// Id of the step that runs the operator's hooks before an installation: packages and the build wait for it.
pub const BEFORE_INSTALL: &str = "hooks-before-install";

#[derive(Default)]
pub struct Steps {
    steps: Vec<Step>,
    /// Id of the last command that changes the release's files.
    built: String,
    /// Ids of other steps that must be done before the release is complete: links, runtimes, tools.
    links: Vec<StepId>,
}

/// The step that was just added. Its methods set what it needs and its time limit.
pub struct Added<'a>(&'a mut Step);

impl Added<'_> {
    pub fn after(&mut self, needs: &[&str]) -> &mut Self {
        self.0.needs.extend(needs.iter().copied().map(StepId::new));
        self
    }

    pub fn needing(&mut self, needs: Vec<StepId>) -> &mut Self {
        self.0.needs.extend(needs);
        self
    }

    pub fn optional(&mut self) -> &mut Self {
        self.0.optional = true;
        self
    }

    pub fn marks(&mut self, mark: Mark) -> &mut Self {
        self.0.mark = Some(mark);
        self
    }

    /// Sets time limit and number of tries.
    pub fn within(&mut self, phase: Phase) -> &mut Self {
        self.0.tries = phase.tries();
        self.lasting(phase.seconds())
    }

    pub fn lasting(&mut self, seconds: Seconds) -> &mut Self {
        self.0.timeout = seconds;
        self
    }
}

impl Steps {
    pub fn add(&mut self, id: &str, why: &str, action: Action) -> Added<'_> {
        let step = Step {
            id: StepId::new(id),
            needs: Vec::new(),
            why: why.to_owned(),
            action,
            timeout: Phase::Local.seconds(),
            tries: Phase::Local.tries(),
            optional: false,
            mark: None,
        };
        let at = self.steps.len();
        self.steps.push(step);
        Added(&mut self.steps[at])
    }

    pub fn directory(&mut self, id: &str, why: &str, path: PathBuf, owner: Owner, mode: u32) -> Added<'_> {
        self.add(id, why, Action::MakeDirectory { path, owner, mode: Mode(mode) })
    }

    /// A file that root owns.
    pub fn file(&mut self, id: &str, why: &str, path: PathBuf, text: String, mode: u32) -> Added<'_> {
        let content = Content::Text(text);
        self.add(id, why, Action::WriteFile { path, content, owner: Owner::root(), mode: Mode(mode) })
    }

    /// A file with secret values.
    pub fn sealed(
        &mut self,
        id: &str,
        why: &str,
        path: PathBuf,
        text: Sealed,
        owner: Owner,
        mode: u32,
    ) -> Added<'_> {
        let content = Content::Sealed(text);
        self.add(id, why, Action::WriteFile { path, content, owner, mode: Mode(mode) })
    }

    pub fn user(&mut self, id: &str, why: &str, name: &str, home: PathBuf) {
        let action =
            Action::CreateUser { name: name.to_owned(), description: format!("bootagent {name}"), home };
        self.add(id, why, action).after(&["ownership-marker"]);
    }

    /// A program that all services of the machine share. It may be installed at the same time as the checkout.
    pub fn tool(&mut self, id: &str, tool: &InstallTool, why: &str, after: &[&str]) {
        self.add(id, why, Action::InstallTool(tool.clone()))
            .after(&["remove-leftovers", "build-user", "cache"])
            .after(after)
            .within(Phase::Install);
        self.finished_by(id);
    }

    pub fn link(&mut self, id: &str, why: &str, path: PathBuf, target: PathBuf) -> Added<'_> {
        self.add(id, why, Action::SwitchSymlink { path, target, displaces: false })
    }

    /// A link in a release to a file or directory outside of it. It replaces what the repository has at its path.
    pub fn displace(&mut self, id: &str, why: &str, path: PathBuf, target: PathBuf) -> Added<'_> {
        self.add(id, why, Action::SwitchSymlink { path, target, displaces: true })
    }

    pub fn has(&self, id: &str) -> bool {
        self.steps.iter().any(|step| step.id.as_str() == id)
    }

    pub fn built_by(&mut self, id: &str) {
        self.built = id.to_owned();
    }

    pub fn built(&self) -> String {
        self.built.clone()
    }

    pub fn finished_by(&mut self, id: &str) {
        self.links.push(StepId::new(id));
    }

    pub fn before_finish(&mut self) -> Vec<StepId> {
        let mut needs = vec![StepId::new(self.built.clone())];
        needs.append(&mut self.links);
        needs
    }

    pub fn finish(self) -> Vec<Step> {
        self.steps
    }
}
