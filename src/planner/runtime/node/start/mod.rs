//! How a Node service starts, by the conventions of repositories. In this order: the manifest, a Procfile, the scripts of
//! package.json, the framework, `main`, the usual files. `docs/will-it-boot.md` states the order and every convention.

mod builder;
mod development;
mod file;
mod framework;
mod frontend;
mod line;
pub mod migrating;
mod nx;
mod parts;
mod port;
mod project;
pub mod provider;
mod reach;
mod refuse;
mod rewritten;
mod runner;
mod script;
mod standalone;
mod sveltekit;
pub mod unbuilt;
mod variables;
mod watcher;
pub mod word;

use std::collections::BTreeMap;

use super::package::Package;
use super::pnp;
use super::version::Node;
use super::workspace::Workspaces;
use crate::error::{Code, Error, Result};
use crate::facts::{Evidence, Source};
use crate::planner::runtime::below;
use crate::planner::runtime::command::{self, Start};
use crate::planner::runtime::procfile;
use crate::planner::runtime::recipe::{RecipeInputs, Starts};
use crate::planner::unmet::{Unmet, require_texts};
use crate::secret::excerpt;
use file::by_file;
use framework::Framework;
use line::Resolved;
pub use project::Project;
use refuse::{DOING, no_start, other_adapter, preview_without_server, several_processes};
use word::program;

pub use framework::is_web;
pub use frontend::FILES as FRONTEND_FILES;
pub use standalone::is_copy;

/// The start command, and what follows from it for the build.
#[derive(Debug)]
pub struct Chosen {
    pub start: Start,
    /// The line that is started, and the convention that chose it.
    pub line: String,
    pub origin: String,
    /// Whether only a file's name speaks for it: a file that may be a library's, which ends at once.
    pub is_guess: bool,
    /// What must be built before it starts, besides the build script.
    pub builds: Vec<String>,
    /// The workspace that it runs in.
    pub directory: Option<String>,
    /// Why packages for development stay installed.
    pub keeps_development: Option<String>,
    /// Variables that the service gets unless its secret has them.
    pub defaults: BTreeMap<String, String>,
    /// Directories of the release that it writes to.
    pub writes: Vec<String>,
    /// A site without a server of its own: nothing is started.
    pub site: Option<frontend::Found>,
    /// Whether it runs commands that cannot be read, such as those of a script of a shell.
    pub runs_unread: bool,
    pub notes: Vec<String>,
}

impl Chosen {
    /// What the start line would build first, behind the first commands that `built` has run already. A later one may
    /// need what an earlier one makes, so that the rest stays whole.
    pub fn builds_besides(
        &self,
        built: &[String],
        package: &Package,
        workspaces: &Workspaces,
    ) -> Vec<String> {
        let project = Project { package, workspaces, has: &|_| false };
        let commands = |line: &str| reach::reach(line, None, &project).map(|reach| reach.commands);
        let known: Vec<reach::Command> =
            built.iter().filter_map(|line| commands(line).ok()).flatten().collect();
        let is_done = |part: &&String| {
            built.contains(part)
                || commands(part)
                    .is_ok_and(|all| !all.is_empty() && all.iter().all(|command| known.contains(command)))
        };
        self.builds.iter().skip_while(is_done).cloned().collect()
    }
}

impl Chosen {
    pub fn is_script(&self) -> bool {
        self.origin.starts_with("scripts.")
    }
}

/// How programs find the packages of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packages {
    Directory,
    /// yarn's Plug'n'Play: Node loads a hook first, and other programs are started by yarn.
    Hook,
}

/// What runs the service's files.
pub struct Runner<'a> {
    pub node: &'a Node,
    pub packages: Packages,
    /// The project's package manager.
    pub manager: &'a str,
    /// Whether that is bun, which also runs its files.
    pub is_bun: bool,
}

const PROCFILE: &str = "Procfile";

pub fn choose(
    inputs: &RecipeInputs,
    package: &Package,
    workspaces: &Workspaces,
    runner: &Runner,
) -> Result<Chosen, Unmet> {
    let RecipeInputs { source, manifest, .. } = inputs;
    // A file of the supervisor, such as PM2's ecosystem file, names what is started; scripts.start may start PM2 itself.
    if inputs.starts == Starts::BySupervisor && manifest.start.is_none() {
        return Ok(nothing(package));
    }
    let has = |path: &str| source.has(path);
    let project = Project { package, workspaces, has: &has };
    if let Some(found) = frontend::find(inputs, &project)? {
        return Ok(served(package, found));
    }
    if inputs.starts == Starts::Nothing {
        return Ok(nothing(package));
    }
    let framework = framework::of(package);
    let mut notes = Vec::new();
    let mut is_guess = false;
    let (line, origin) = if let Some(line) = &manifest.start {
        (line.clone(), "start in bootagent.toml".to_owned())
    } else if let Some(line) = procfile::start(inputs, &mut notes)? {
        (line, PROCFILE.to_owned())
    } else if let Some(found) = script::by_script(&project, None, framework, source)? {
        found
    } else if let Some(framework) = framework.filter(|_| !source.has("nx.json")) {
        sveltekit::start(framework, source, &mut notes)
    } else if let Some(found) = in_one_workspace(&project, source, runner.manager)? {
        found
    } else if package.scripts.contains_key("preview") {
        notes.push(format!(
            "scripts.preview serves what the build makes, and is not meant for production; behind a domain name vite refuses requests unless preview.allowedHosts has it{}",
            other_adapter(package)
        ));
        ("npm run preview".to_owned(), "scripts.preview in package.json".to_owned())
    } else {
        is_guess = true;
        if let Some(error) = source.text(PROCFILE).and_then(several_processes) {
            return Err(error.into());
        }
        match by_file(inputs, package, runner)? {
            Some(found) => found,
            None => return Err(no_start(package, workspaces, source).into()),
        }
    };
    let resolved = line::resolve(&line, &project)?;
    let keeps_development = keeps_development(inputs, &resolved, &project)?;
    let runs_unread =
        reach::reach(&resolved.whole(), resolved.directory.as_deref(), &project)?.doubt.is_some();
    // What starts in a workspace has that workspace's framework and dependencies.
    let package =
        resolved.directory.as_deref().and_then(|directory| workspaces.at(directory)).unwrap_or(package);
    let is_written = manifest.start.is_some() || origin == PROCFILE;
    if let Some(error) = preview_without_server(&resolved.line, package).filter(|_| !is_written) {
        return Err(error.into());
    }
    let framework = framework::of(package);
    if let Some(reason) = &keeps_development {
        notes.push(format!("development dependencies stay installed: {reason}"));
    }
    let mut chosen = finished(inputs, package, framework, runner, resolved, origin, notes)?;
    // What the line builds first would be lost with the resolved one.
    chosen.start.written = Some(line);
    Ok(Chosen { is_guess, keeps_development, runs_unread, ..chosen })
}

/// A monorepo whose root starts nothing, and in which exactly one workspace does.
fn in_one_workspace(project: &Project, source: &Source, manager: &str) -> Result<Option<(String, String)>> {
    let workspaces = project.workspaces;
    let starting: Vec<&str> = workspaces
        .iter()
        .filter(|(_, package)| package.script("start").is_some())
        .map(|(directory, _)| directory)
        .collect();
    match starting.as_slice() {
        [] => Ok(by_framework_in_a_workspace(workspaces)),
        [one] => {
            let framework = framework::of(project.package_in(Some(one)));
            let found = script::by_script(project, Some(one), framework, source)?;
            Ok(found.map(|(line, origin)| (line, format!("{origin}: the only workspace that has one"))))
        }
        [..] => {
            let first =
                starting.iter().min_by_key(|path| below::likelihood(path)).copied().unwrap_or_default();
            let cause = format!(
                "the root's package.json has no start script, and {} workspaces have one: {}",
                starting.len(),
                excerpt(&starting.join(", "))
            );
            Err(Error::new(Code::ManifestInvalid, DOING, cause).remedy(format!(
                "name one in bootagent.toml: start = \"{}\"",
                workspaces.start_of(first, manager)
            )))
        }
    }
}

/// The only workspace with a framework, such as an application of Nx, which writes no scripts.
fn by_framework_in_a_workspace(workspaces: &Workspaces) -> Option<(String, String)> {
    let mut found =
        workspaces.iter().filter_map(|(directory, package)| Some((directory, framework::of(package)?)));
    let (directory, framework) = found.next()?;
    let origin = format!("{}: its usual build in {directory}", framework.name);
    found.next().is_none().then(|| (format!("cd {directory} && {}", framework.start), origin))
}

fn nothing(package: &Package) -> Chosen {
    Chosen {
        start: Start::none(),
        line: String::new(),
        origin: String::new(),
        is_guess: false,
        builds: Vec::new(),
        directory: None,
        keeps_development: None,
        defaults: BTreeMap::new(),
        writes: framework::of(package).into_iter().flat_map(writes).collect(),
        site: None,
        runs_unread: false,
        notes: Vec::new(),
    }
}

/// A site: the build's files are all that is needed of it.
fn served(package: &Package, found: frontend::Found) -> Chosen {
    let builds = found.build.iter().cloned().collect();
    Chosen { builds, site: Some(found), writes: Vec::new(), ..nothing(package) }
}

fn writes(framework: &Framework) -> impl Iterator<Item = String> + use<> {
    framework.writes.iter().map(|path| (*path).to_owned())
}

fn finished(
    inputs: &RecipeInputs,
    package: &Package,
    framework: Option<&'static Framework>,
    runner: &Runner,
    mut resolved: Resolved,
    origin: String,
    mut notes: Vec<String>,
) -> Result<Chosen> {
    standalone::fit_framework(inputs.source, package, framework, &mut resolved);
    if let Some((program, word)) = program(&resolved.line) {
        let flags = framework::flags(program, word, &resolved.line);
        let port = port::of_line(program, word, &resolved.line);
        if let Some(port) = port.filter(|_| !resolved.environment.contains_key("PORT")) {
            notes.push(format!("PORT is {port}: the start line gives {} this port", excerpt(program)));
            resolved.environment.insert("PORT".to_owned(), port.to_string());
        }
        resolved.line += &flags;
    }
    let mut defaults: BTreeMap<String, String> = framework
        .into_iter()
        .flat_map(|framework| framework.variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if runner.packages == Packages::Hook {
        let loader = if package.is_module { " --experimental-loader ./.pnp.loader.mjs" } else { "" };
        defaults.insert("NODE_OPTIONS".to_owned(), format!("--require ./.pnp.cjs{loader}"));
        resolved.before.iter_mut().chain([&mut resolved.line]).for_each(pnp::by_yarn);
    }
    resolved.line = resolved.whole();
    for hook in &resolved.skipped {
        let is_migration = package.script(hook).is_some_and(builder::is_migration);
        let manager = runner.manager;
        let builds = match package.scripts.contains_key("build") {
            true => format!("\"{manager} run build\", "),
            false => String::new(),
        };
        let instead = match hook.starts_with("pre") {
            _ if is_migration => format!(": migrate = \"npm run {hook}\" runs it once for each release"),
            true if resolved.directory.is_none() => format!(
                "; if it makes files that the service needs, build = [{builds}\"{manager} run {hook}\"] makes them with the release"
            ),
            _ => String::new(),
        };
        let note = format!(
            "the {hook} script of package.json is not run, because the service is started without npm{instead}"
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes.append(&mut resolved.notes);
    let mut start = command::start(&resolved.line, &runner.node.bin.join("node"))?;
    start.environment.extend(resolved.environment.clone());
    if let Some(directory) = &resolved.directory {
        let hook = defaults.get("NODE_OPTIONS").filter(|_| runner.packages == Packages::Hook);
        start.argv = pnp::in_directory(directory, &start.argv, &resolved.line, hook);
    }
    let below = match (&resolved.directory, standalone::server(&resolved.line)) {
        (Some(directory), _) => format!("{directory}/"),
        (None, Some(root)) => format!("{root}/"),
        (None, None) => String::new(),
    };
    Ok(Chosen {
        start,
        line: resolved.line,
        origin,
        is_guess: false,
        builds: resolved.builds,
        directory: resolved.directory,
        keeps_development: None,
        defaults,
        writes: framework.into_iter().flat_map(writes).map(|path| below.clone() + &path).collect(),
        site: None,
        runs_unread: false,
        notes,
    })
}

/// Why packages for development stay installed: what starts the service, or migrates its data before, needs one.
fn keeps_development(
    inputs: &RecipeInputs,
    resolved: &Resolved,
    project: &Project,
) -> Result<Option<String>, Unmet> {
    let directory = resolved.directory.as_deref();
    let place = project.place(directory);
    let whole = reach::reach(&resolved.whole(), directory, project)?;
    let options: Vec<String> = resolved
        .environment
        .get("NODE_OPTIONS")
        .map(|options| format!("node {options}"))
        .into_iter()
        .collect();
    let of_start = options.iter().map(|line| (line, "start command"));
    let of_migration = inputs.manifest.migrate.iter().map(|line| (line, "migration"));
    for (line, what) in of_start.chain(of_migration) {
        let reach = reach::reach(line, None, project)?;
        if let Some(reason) = development::keeps_development(what, &reach, project) {
            return Ok(Some(reason));
        }
    }
    let is_next = program(&resolved.line).is_some_and(|(program, word)| (program, word) == ("next", "start"));
    let config = directory.map_or("next.config.ts".to_owned(), |at| format!("{at}/next.config.ts"));
    let mut reads_typescript = is_next && place.is_only_for_development("typescript");
    if reads_typescript {
        // Asked for: a record knows the files of the root only, and must say the same after a reboot.
        require_texts(inputs.source, &[&config])?;
        reads_typescript = inputs.source.evidence_of(&config) != Evidence::Absent;
    }
    Ok(development::keeps_development("start command", &whole, project).or_else(|| {
        reads_typescript.then(|| {
            "next start reads next.config.ts with typescript, which is among the devDependencies".to_owned()
        })
    }))
}

#[cfg(test)]
mod tests;
