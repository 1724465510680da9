//! The commands that install and build: in the words of the commit's package manager, and none twice.

use super::above::Above;
use super::build_scripts;
use super::manager::{Manager, Selected, YARN_BERRY};
use super::nested;
use super::package::Package;
use super::start::{self, Chosen};
use super::version::Node;
use super::workspace::Workspaces;
use std::collections::BTreeSet;

use crate::error::{Code, Error, Result};
use crate::fault::Phase;
use crate::observe::manifest::Manifest;
use crate::planner::runtime::command;
use crate::planner::runtime::recipe::{RootInstall, Work};
use crate::secret::excerpt;

pub struct Project<'a> {
    pub manifest: &'a Manifest,
    pub package: &'a Package,
    pub workspaces: &'a Workspaces,
    /// Of a service in a workspace: the project above, whose packages and workspaces the fields above have.
    pub above: Option<&'a Above<'a>>,
    /// The service's own package.
    pub own: &'a Package,
    pub selected: &'a Selected,
    pub node: &'a Node,
    pub chosen: &'a Chosen,
    pub requires_lockfile: bool,
    /// Whether bootagent's own installer carries out `npm ci`.
    pub uses_own_installer: bool,
    /// Whether the client that the service imports must be generated, and no script does it: the hook of its package
    /// hides every failure.
    pub generates_prisma_client: bool,
    /// Whether Nx knows how each workspace is built.
    pub uses_nx: bool,
    /// Whether Turborepo builds what a workspace needs, and then itself.
    pub uses_turbo: bool,
}

const PRUNE: &str = "prune-dependencies";
const WHY_PRUNED: &str = "only the build needs development dependencies";

/// The commands: install, build, and then removal of development dependencies.
pub fn work(project: &Project, notes: &mut Vec<String>) -> Result<Vec<Work>> {
    let Project { manifest, chosen, node, .. } = project;
    let builds = project.builds(notes);
    let mut work = Vec::new();
    let mut add = |phase: Phase, name: &str, why: &str, argv: Vec<String>, line: &str| {
        let is_own = project.uses_own_installer && phase == Phase::Install;
        let own_installer = is_own.then(|| node.version.clone());
        let (name, why, line) = (name.to_owned(), why.to_owned(), line.to_owned());
        work.push(Work { name, why, argv, line, phase, own_installer });
    };
    // Install scripts of the repository's own package may need packages for development.
    let everything = !builds.is_empty()
        || chosen.keeps_development.is_some()
        || (project.package.runs_at_install()
            && (!project.package.dev_dependencies.is_empty() || nested::installs(project.package, &[])));
    match &manifest.install {
        Some(commands) => {
            for (index, line) in commands.iter().enumerate() {
                let name = numbered("install", index, commands.len());
                add(
                    Phase::Install,
                    &name,
                    "install in the manifest",
                    command::argv(line, &node.bin, &node.npm)?,
                    line,
                );
            }
        }
        None if !project.package.has_dependencies()
            && !project.package.runs_at_install()
            && project.selected.lockfile.is_none()
            && project.above.is_none() => {}
        None => {
            let (words, why) = project.install(everything, notes)?;
            let line = project.line(&words);
            add(Phase::Install, "install", why, project.argv(&words), &line);
        }
    }
    let with_development = manifest.install.is_none() && nested::installs(project.package, &builds);
    for (index, line) in builds.iter().enumerate() {
        let name = numbered("build", index, builds.len());
        let mut argv = command::argv(line, &node.bin, &node.npm)?;
        if with_development {
            let words = ["/usr/bin/env"].into_iter().chain(nested::WITH_DEVELOPMENT);
            argv.splice(0..0, words.map(str::to_owned));
        }
        add(Phase::Build, &name, "builds what the service runs", argv, line);
    }
    if chosen.site.is_some() {
        let is_served = manifest.said("static", "root").is_some_and(|root| root.contains("node_modules"));
        // Two releases are kept, and the packages are most of each.
        if project.package.has_dependencies() && !is_served {
            let argv = ["/bin/rm", "-rf", "node_modules"].map(str::to_owned).to_vec();
            add(
                Phase::Build,
                "remove-packages",
                "only the build needs packages",
                argv,
                "rm -rf node_modules",
            );
        }
        return Ok(work);
    }
    if everything
        && manifest.install.is_none()
        && chosen.keeps_development.is_none()
        && !project.package.dev_dependencies.is_empty() | !builds.is_empty()
    {
        match project.prune() {
            Some(words) => {
                add(Phase::Build, PRUNE, WHY_PRUNED, project.argv(words), &project.line(words));
            }
            None => notes.push(format!(
                "development dependencies stay installed: {} cannot remove them {}",
                project.selected.manager.name,
                project.why_not_pruned()
            )),
        }
    }
    Ok(work)
}

impl Project<'_> {
    fn manager(&self) -> &'static Manager {
        self.selected.manager
    }

    fn install(
        &self,
        everything: bool,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<&'static str>, &'static str)> {
        let manager = self.manager();
        if self.selected.lockfile.is_none() {
            if self.requires_lockfile && self.package.has_dependencies() {
                return Err(Error::new(
                    Code::LockfileMissing,
                    "planning the installation of packages",
                    "the commit has no lockfile (package-lock.json, yarn.lock, pnpm-lock.yaml, bun.lock), so two boots could install different versions of packages",
                )
                .remedy(format!(
                    "run {} install and commit {}; or allow it with lockfile = false in bootagent.toml",
                    manager.program, manager.lockfiles[0]
                )));
            }
            if self.package.has_dependencies() {
                notes.push("without a lockfile the installation is not reproducible: two boots can install different versions of packages".to_owned());
            }
            let production = |word: &&'static str| match *word {
                "--include=dev" => "--omit=dev",
                "--production=false" => "--production=true",
                "--prod=false" => "--prod",
                other => other,
            };
            let words = manager.unlocked.iter();
            let words = match everything {
                true => words.copied().collect(),
                false => words.map(production).collect(),
            };
            return Ok((words, "installs what package.json allows, because there is no lockfile"));
        }
        let why = "installs exactly the versions in the lockfile";
        Ok((manager.production.filter(|_| !everything).unwrap_or(manager.everything).to_vec(), why))
    }

    /// None if the manager cannot remove development dependencies from this project.
    fn prune(&self) -> Option<&'static [&'static str]> {
        let manager = self.manager();
        let is_pnpm_workspace = manager.name == "pnpm" && self.workspaces.iter().next().is_some();
        manager
            .prune
            .filter(|_| !self.is_old_berry() && !is_pnpm_workspace && self.selected.lockfile.is_some())
    }

    /// Whether it is yarn 2 or 3, whose commands for workspaces are plugins.
    fn is_old_berry(&self) -> bool {
        self.manager().package == YARN_BERRY.package
            && ["2.", "3."].iter().any(|old| self.selected.version.starts_with(old))
    }

    fn why_not_pruned(&self) -> &'static str {
        match self.manager().package {
            _ if self.selected.lockfile.is_none() => "without a lockfile",
            package if package == YARN_BERRY.package => "before its version 4",
            _ if self.manager().prune.is_some() => "in a workspace",
            _ => "after the installation",
        }
    }

    fn argv(&self, words: &[&str]) -> Vec<String> {
        let program = match self.manager().package {
            None => self.node.npm.join("npm").display().to_string(),
            Some(_) => self.manager().program.to_owned(),
        };
        let program =
            if program.starts_with('/') { vec![program] } else { vec!["/usr/bin/env".to_owned(), program] };
        program.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
    }

    /// The command for the fingerprint of a release: without flags that do not change the result. A named version of the
    /// manager does.
    fn line(&self, words: &[&str]) -> String {
        const QUIET: &[&str] = &[
            "--no-audit",
            "--no-fund",
            "--include=dev",
            "--non-interactive",
            "--ignore-scripts",
            "--prefer-offline",
        ];
        let words =
            words.iter().copied().filter(|word| !QUIET.contains(word) || self.manager().package.is_some());
        let all: Vec<&str> = [self.manager().program].into_iter().chain(words).collect();
        match self.manager().package {
            Some(_) => format!("{} ({})", all.join(" "), self.selected.version),
            None => all.join(" "),
        }
    }

    /// The build commands: the manifest's, else the build script and what the start line would build first.
    fn builds(&self, notes: &mut Vec<String>) -> Vec<String> {
        if let Some(builds) = &self.manifest.build {
            let copies = self.chosen.builds.iter().filter(|line| start::is_copy(line) && !builds.is_empty());
            return builds.iter().chain(copies).cloned().collect();
        }
        if self.above.is_some() {
            return self.builds_below();
        }
        let run = |name: &str| format!("{} run {name}", self.manager().program);
        let script =
            ["heroku-postbuild", "build"].into_iter().find(|name| self.package.scripts.contains_key(*name));
        let script = script.filter(|name| !self.install_builds(name));
        let mut builds: Vec<String> = script.map(run).into_iter().collect();
        if builds.is_empty() {
            builds = self.workspace_builds();
        }
        if builds.is_empty() && self.chosen.builds.is_empty() {
            self.note_other_builds(notes);
        }
        builds.extend(self.chosen.builds_besides(
            &self.built_already(&builds),
            self.package,
            self.workspaces,
        ));
        builds.splice(0..0, self.generates_prisma_client.then(|| "prisma generate".to_owned()));
        builds
    }

    /// Of a service in a workspace: the builds of the workspaces that it needs, its own, and what its start line would build.
    fn builds_below(&self) -> Vec<String> {
        let mut builds = self.workspace_builds();
        let program = if self.own.only_for_pnpm.is_some() { "pnpm" } else { "npm" };
        let built: Vec<String> =
            self.own.script("build").map(|_| format!("{program} run build")).into_iter().collect();
        builds.extend(self.chosen.builds_besides(&built, self.own, &Workspaces::default()));
        builds.splice(0..0, self.generates_prisma_client.then(|| "prisma generate".to_owned()));
        builds
    }

    /// The commands of a service in a workspace that run in the root: its installation, and the builds of workspaces.
    pub fn of_the_root(&self, work: &[Work]) -> BTreeSet<String> {
        if self.above.is_none() {
            return BTreeSet::new();
        }
        let workspaces = if self.manifest.build.is_none() { self.workspace_builds() } else { Vec::new() };
        let is_of_the_root = |work: &&Work| match work.phase {
            Phase::Install => self.manifest.install.is_none(),
            _ => work.name == PRUNE || work.name == "remove-packages" || workspaces.contains(&work.line),
        };
        work.iter().filter(is_of_the_root).map(|work| work.name.clone()).collect()
    }

    /// None without an installation by convention, from a lockfile.
    pub fn root_install(&self, work: &[Work]) -> Option<RootInstall> {
        let installed = work.iter().find(|work| work.phase == Phase::Install)?;
        if self.manifest.install.is_some() || self.selected.lockfile.is_none() {
            return None;
        }
        let of = |name: &str, why: &str, phase: Phase, words: &[&str]| Work {
            name: name.to_owned(),
            why: why.to_owned(),
            argv: self.argv(words),
            line: self.line(words),
            phase,
            own_installer: installed.own_installer.clone().filter(|_| phase == Phase::Install),
        };
        let prune = self.prune().map(|words| of(PRUNE, WHY_PRUNED, Phase::Build, words));
        Some(RootInstall {
            everything: of(&installed.name, &installed.why, Phase::Install, self.manager().everything),
            prune,
        })
    }

    /// Lines that the release has run before what the start line would build.
    fn built_already(&self, builds: &[String]) -> Vec<String> {
        let hooks = ["postinstall", "prepare"].into_iter().filter_map(|hook| self.package.script(hook));
        let directory = self.chosen.directory.as_deref().filter(|_| !builds.is_empty());
        let of_the_root = self.package.script("build").is_some();
        let of_the_workspace = directory
            .filter(|_| !of_the_root)
            .map(|directory| format!("npm run build --workspace={directory}"));
        let hooks = hooks.map(str::to_owned).filter(|_| self.manifest.install.is_none());
        builds.iter().cloned().chain(hooks).chain(of_the_workspace).collect()
    }

    fn note_other_builds(&self, notes: &mut Vec<String>) {
        let is_build = |name: &&str| name.starts_with("build:");
        let other: Vec<&str> = self.package.scripts.keys().map(String::as_str).filter(is_build).collect();
        if let Some(first) = build_scripts::most_useful(&other) {
            notes.push(format!(
                "nothing is built, because package.json has no script build; it has {}: if the service needs it, build = \"{} run {first}\"",
                excerpt(&other.join(", ")),
                self.manager().program
            ));
        }
    }

    /// Whether a hook of the installation runs this script already.
    fn install_builds(&self, script: &str) -> bool {
        // A command of the manifest may leave out the hooks; yarn has had no `prepare` for installations since its version 2.
        if self.manifest.install.is_some() {
            return false;
        }
        let is_berry = self.manager().package == YARN_BERRY.package;
        let hooks = ["postinstall", "prepare"].into_iter().filter(|hook| !is_berry || *hook != "prepare");
        let hooks = hooks.filter_map(|hook| self.package.script(hook));
        hooks.into_iter().any(|line| {
            let text = self.package.script(script).unwrap_or_default();
            line == text
                || ["npm", "yarn", "pnpm", "bun"].iter().any(|program| {
                    line.trim() == format!("{program} run {script}")
                        || line.trim() == format!("{program} {script}")
                })
        })
    }

    /// The build scripts of the workspace that is started and, before it, of those that it needs, if the root has none.
    fn workspace_builds(&self) -> Vec<String> {
        let above = self.above.map(|above| above.directory);
        let Some(directory) = above.or(self.chosen.directory.as_deref()) else { return Vec::new() };
        let Some(package) = self.workspaces.at(directory) else { return Vec::new() };
        let name = package.name.as_deref().unwrap_or(directory);
        let has_build = |(_, package): &(&str, &Package)| package.script("build").is_some();
        let built: Vec<(&str, &Package)> =
            self.workspaces.with_dependencies(directory).into_iter().filter(has_build).collect();
        let needs_others = built.iter().any(|(other, _)| *other != directory);
        let is_new_berry = self.manager().package == YARN_BERRY.package && !self.is_old_berry();
        match self.manager().name {
            _ if self.uses_nx && package.script("build").is_none() => vec![format!("nx build {name}")],
            _ if built.is_empty() => Vec::new(),
            _ if self.uses_turbo => vec![format!("turbo run build --filter={name}...")],
            "pnpm" => vec![format!("pnpm --filter {name}... run build")],
            // Each behind those that it needs, as many at once as do not; before version 4 this is a plugin.
            "yarn" if is_new_berry && needs_others => {
                vec![format!("yarn workspaces foreach -Rpt --from {name} run build")]
            }
            manager => built.into_iter().map(|(at, package)| build_of(manager, at, package)).collect(),
        }
    }
}

/// The line that runs the build script of one workspace.
fn build_of(manager: &str, directory: &str, package: &Package) -> String {
    let name = package.name.as_deref().unwrap_or(directory);
    match manager {
        "yarn" => format!("yarn workspace {name} run build"),
        "bun" => format!("bun run --filter {name} build"),
        _ => format!("npm run build --workspace={directory}"),
    }
}

fn numbered(name: &str, index: usize, of: usize) -> String {
    if of == 1 { name.to_owned() } else { format!("{name}-{}", index + 1) }
}
