//! How a Node service starts, by the conventions of repositories. In this order: the manifest, a Procfile, the scripts of
//! package.json, the framework, `main`, the usual files. `docs/will-it-boot.md` states the order and every convention.

mod docker;
mod file;
mod framework;
mod frontend;
mod line;
mod nx;
mod provider;
mod refuse;
mod runner;
mod word;

use std::collections::BTreeMap;

use super::package::Package;
use super::version::Node;
use super::workspace::Workspaces;
use crate::error::{Code, Error, Result};
use crate::facts::Source;
use crate::planner::runtime::command::{self, Start};
use crate::planner::runtime::procfile;
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::unmet::Unmet;
use crate::secret::excerpt;
use file::by_file;
use framework::Framework;
use line::{Project, Resolved};
use refuse::{DOING, no_start, only_for_development_server, other_adapter, preview_without_server};
use word::{Words, assignments};

pub use framework::is_web;
pub use frontend::FILES as FRONTEND_FILES;

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
    pub notes: Vec<String>,
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

/// Scripts that start for production where `start` does not, the most usual name first.
const PRODUCTION: &[&str] =
    &["start:prod", "start:production", "start-prod", "prod", "production", "serve:prod", "start:server"];

const PROCFILE: &str = "Procfile";

pub fn choose(
    inputs: &RecipeInputs,
    package: &Package,
    workspaces: &Workspaces,
    runner: &Runner,
) -> Result<Chosen, Unmet> {
    let RecipeInputs { source, manifest, .. } = inputs;
    // A file of the supervisor, such as PM2's ecosystem file, names what is started; scripts.start may start PM2 itself.
    if inputs.is_started_by_supervisor && manifest.start.is_none() {
        return Ok(nothing(package));
    }
    let has = |path: &str| source.has(path);
    let project = Project { package, workspaces, has: &has };
    if let Some(found) = frontend::find(inputs, &project)? {
        return Ok(served(package, found));
    }
    let framework = framework::of(package);
    let mut notes = Vec::new();
    let mut is_guess = false;
    let (line, origin) = if let Some(line) = &manifest.start {
        (line.clone(), "start in bootagent.toml".to_owned())
    } else if let Some(line) = source.text("Procfile").and_then(|text| in_procfile(text, &mut notes)) {
        (line, PROCFILE.to_owned())
    } else if let Some(found) = by_script(&project, framework, source)? {
        found
    } else if let Some(framework) = framework.filter(|_| !source.has("nx.json")) {
        (framework.start.to_owned(), format!("{}: its usual build", framework.name))
    } else if let Some(found) = in_one_workspace(workspaces, runner.manager)? {
        found
    } else if package.scripts.contains_key("preview") {
        notes.push(format!(
            "scripts.preview serves what the build makes, and is not meant for production; behind a domain name vite refuses requests unless preview.allowedHosts has it{}",
            other_adapter(package)
        ));
        run("preview")
    } else {
        is_guess = true;
        match by_file(inputs, package, runner)? {
            Some(found) => found,
            None => return Err(no_start(package, source).into()),
        }
    };
    let resolved = line::resolve(&line, &project)?;
    // What starts in a workspace has that workspace's framework and dependencies.
    let package =
        resolved.directory.as_deref().and_then(|directory| workspaces.at(directory)).unwrap_or(package);
    let is_written = manifest.start.is_some() || origin == PROCFILE;
    if let Some(error) = preview_without_server(&resolved.line, package).filter(|_| !is_written) {
        return Err(error.into());
    }
    let framework = framework::of(package);
    Ok(Chosen { is_guess, ..finished(inputs, package, framework, runner, resolved, origin, notes)? })
}

fn in_procfile(text: &str, notes: &mut Vec<String>) -> Option<String> {
    let line = procfile::command(text)?;
    let others = procfile::others(text, line);
    if !others.is_empty() {
        let others = excerpt(&others.join(", "));
        notes.push(format!("of the Procfile only one process is started, and not {others}"));
    }
    Some(line.to_owned())
}

/// `scripts.start`; but if that serves a development version, a script for production, or the framework's own line.
fn by_script(
    project: &Project,
    framework: Option<&Framework>,
    source: &Source,
) -> Result<Option<(String, String)>> {
    let Some(start) = project.package.script("start") else {
        let script = PRODUCTION.iter().find(|name| project.package.scripts.contains_key(**name));
        return Ok(script.map(|name| run(name)));
    };
    let resolved = line::resolve("npm start", project)?;
    let only = provider::only_for_development(&resolved.line, project.package);
    let develops = develops(&resolved.line);
    if !develops && only.is_empty() {
        return Ok(Some(run("start")));
    }
    for name in PRODUCTION.iter().filter(|name| project.package.scripts.contains_key(**name)) {
        let other = line::resolve(&format!("npm run {name}"), project)?;
        if !self::develops(&other.line)
            && provider::only_for_development(&other.line, project.package).is_empty()
        {
            let (line, origin) = run(name);
            return Ok(Some((
                line,
                format!("{origin}, because scripts.start is for development: {}", excerpt(start)),
            )));
        }
    }
    Ok(Some(match framework.filter(|_| develops) {
        Some(framework) => {
            let why = format!(
                "{}: its usual build, because scripts.start is for development: {}",
                framework.name,
                excerpt(start)
            );
            (framework.start.to_owned(), why)
        }
        None if develops && !is_preview(&resolved.line) => match nx::start(source) {
            Some((line, origin)) => (line, origin),
            None => return Err(only_for_development_server(start, project.package)),
        },
        None => run("start"),
    }))
}

/// A server of built files, which is slow and yet no development server.
fn is_preview(line: &str) -> bool {
    program(line).is_some_and(|(_, word)| word == "preview" || word == "start")
}

fn run(name: &str) -> (String, String) {
    let line = if name == "start" { "npm start".to_owned() } else { format!("npm run {name}") };
    (line, format!("scripts.{name} in package.json"))
}

/// The program of a line of one program, and the word behind it.
fn program(line: &str) -> Option<(&str, &str)> {
    let words = Words::of(line)?;
    let (_, at) = assignments(&words, 0);
    let at = if words.text(at) == "exec" { at + 1 } else { at };
    Some((words.text(at), words.text(at + 1)))
}

fn develops(line: &str) -> bool {
    program(line).is_some_and(|(program, word)| framework::is_development(program, word))
}

/// A monorepo whose root starts nothing, and in which exactly one workspace does.
fn in_one_workspace(workspaces: &Workspaces, manager: &str) -> Result<Option<(String, String)>> {
    let starting: Vec<&str> = workspaces
        .iter()
        .filter(|(_, package)| package.script("start").is_some())
        .map(|(directory, _)| directory)
        .collect();
    match starting.as_slice() {
        [] => Ok(by_framework_in_a_workspace(workspaces)),
        [one] => Ok(Some((
            format!("npm start --workspace={one}"),
            format!("scripts.start in {one}/package.json: the only workspace that has one"),
        ))),
        [first, ..] => {
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
    fit_framework(inputs.source, package, framework, &mut resolved);
    if let Some((program, word)) = program(&resolved.line) {
        let flags = framework::flags(program, word, &resolved.line);
        resolved.line += &flags;
    }
    let keeps_development = keeps_development(inputs.source, package, &resolved, &mut notes);
    let mut defaults: BTreeMap<String, String> = framework
        .into_iter()
        .flat_map(|framework| framework.variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if runner.packages == Packages::Hook {
        let loader = if package.is_module { " --experimental-loader ./.pnp.loader.mjs" } else { "" };
        defaults.insert("NODE_OPTIONS".to_owned(), format!("--require ./.pnp.cjs{loader}"));
        if program(&resolved.line).is_some_and(|(program, _)| program != "node") {
            resolved.line = format!("yarn run {}", resolved.line);
        }
    }
    for hook in &resolved.skipped {
        let note = format!(
            "the {hook} script of package.json is not run, because the service is started without npm"
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes.append(&mut resolved.notes);
    let mut start = command::start(&resolved.line, &runner.node.bin.join("node"))?;
    start.environment.extend(resolved.environment.clone());
    if let Some(directory) = &resolved.directory {
        let line = format!(
            "cd '{directory}' && exec {}",
            resolved.line.strip_prefix("exec ").unwrap_or(&resolved.line)
        );
        start.argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), line];
    }
    let below = match (&resolved.directory, resolved.line.contains(STANDALONE)) {
        (Some(directory), _) => format!("{directory}/"),
        (None, true) => format!("{STANDALONE}/"),
        (None, false) => String::new(),
    };
    Ok(Chosen {
        start,
        line: resolved.line,
        origin,
        is_guess: false,
        builds: resolved.builds,
        directory: resolved.directory,
        keeps_development,
        defaults,
        writes: framework.into_iter().flat_map(writes).map(|path| below.clone() + &path).collect(),
        site: None,
        notes,
    })
}

const STANDALONE: &str = ".next/standalone";

/// Next.js with `output: "standalone"` starts without `next`, and AdonisJS from its build.
fn fit_framework(source: &Source, package: &Package, framework: Option<&Framework>, resolved: &mut Resolved) {
    let is_next = program(&resolved.line).is_some_and(|(program, word)| (program, word) == ("next", "start"));
    if is_next && is_standalone(source) && resolved.directory.is_none() {
        resolved.line = "node .next/standalone/server.js".to_owned();
        resolved.builds.push(COPY_STATIC.to_owned());
    }
    let is_adonis = framework.is_some_and(|framework| framework.name == "AdonisJS");
    if is_adonis && package.scripts.contains_key("build") && resolved.line == "node bin/server.js" {
        resolved.line = "node build/bin/server.js".to_owned();
    }
}

/// As the documentation of Next.js says: its build leaves out what a CDN would serve.
const COPY_STATIC: &str = "mkdir -p .next/standalone/.next && cp -r .next/static .next/standalone/.next/ && if [ -d public ]; then cp -r public .next/standalone/; fi";

fn is_standalone(source: &Source) -> bool {
    let configs = ["next.config.js", "next.config.mjs", "next.config.ts", "next.config.cjs"];
    let says = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        lines.into_iter().any(|line| {
            let compact: String = line.chars().filter(|c| !c.is_whitespace()).collect();
            compact.contains("output:'standalone'") || compact.contains("output:\"standalone\"")
        })
    };
    configs.iter().filter_map(|path| source.text(path)).any(says)
}

fn keeps_development(
    source: &Source,
    package: &Package,
    resolved: &Resolved,
    notes: &mut Vec<String>,
) -> Option<String> {
    let only = provider::only_for_development(&resolved.line, package);
    let is_next = program(&resolved.line).is_some_and(|(program, word)| (program, word) == ("next", "start"));
    let reason = if let Some(name) = only.first() {
        format!("the start command needs {name}, which is among the devDependencies")
    } else if is_next && source.has("next.config.ts") && package.is_only_for_development("typescript") {
        "next start reads next.config.ts with typescript, which is among the devDependencies".to_owned()
    } else {
        return None;
    };
    notes.push(format!("development dependencies stay installed: {reason}"));
    Some(reason)
}
