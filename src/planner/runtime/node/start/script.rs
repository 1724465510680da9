//! Which script of package.json starts for production. Pure.

use super::builder;
use super::development;
use super::framework::{self, Framework};
use super::line::{self, Resolved};
use super::nx;
use super::project::Project;
use super::reach::{self, Reach};
use super::refuse::only_for_development_server;
use super::word::program;
use crate::error::Result;
use crate::facts::Source;
use crate::secret::excerpt;

/// Scripts that start for production where `start` does not, the most usual name first.
pub const PRODUCTION: &[&str] =
    &["start:prod", "start:production", "start-prod", "prod", "production", "serve:prod", "start:server"];

/// Programs that publish a release elsewhere, or leave the service in the background, with the word that makes them.
const OF_ANOTHER_HOST: &[(&str, &str)] = &[
    ("npm", "publish"),
    ("git", "push"),
    ("docker", ""),
    ("docker-compose", ""),
    ("podman", ""),
    ("pm2", ""),
    ("forever", "start"),
    ("nohup", ""),
    ("ssh", ""),
    ("scp", ""),
    ("rsync", ""),
    ("kubectl", ""),
    ("vercel", ""),
    ("netlify", ""),
    ("wrangler", ""),
    ("firebase", ""),
    ("heroku", ""),
    ("serverless", ""),
    ("sls", ""),
    ("gh-pages", ""),
    ("semantic-release", ""),
];

/// A line with the convention that chose it.
type Found = (String, String);

/// `scripts.start` of the root or of a workspace; but if that serves a development version, a script for production, or
/// the framework's own line.
pub fn by_script(
    project: &Project,
    directory: Option<&str>,
    framework: Option<&Framework>,
    source: &Source,
) -> Result<Option<Found>> {
    let package = project.package_in(directory);
    let Some(start) = package.script("start") else { return Ok(production(project, directory)) };
    let (line, origin) = run("start", directory);
    let resolved = line::resolve(&line, project)?;
    let reach = reach::reach(&resolved.line, resolved.directory.as_deref(), project)?;
    let develops = develops(&reach);
    let runs_several = program(&resolved.line).is_some_and(|(program, _)| reach::runs_several(program));
    let is_only = !runs_several && development::only_for_development(&reach, project).is_some();
    if !develops && !is_only {
        return Ok(Some((line, origin)));
    }
    let why =
        |origin: &str| format!("{origin}, because scripts.start is for development: {}", excerpt(start));
    if let Some((line, origin)) = production(project, directory) {
        return Ok(Some((line, why(&origin))));
    }
    if directory.is_none()
        && let Some(entered) = resolved.directory.as_deref()
    {
        let framework = framework::of(project.package_in(Some(entered)));
        return by_script(project, Some(entered), framework, source);
    }
    if !develops {
        return Ok(Some((line, origin)));
    }
    let of_nx = source.has("nx.json").then(|| nx::start(source)).flatten();
    if of_nx.is_some() {
        return Ok(of_nx);
    }
    match framework.filter(|_| !source.has("nx.json")) {
        Some(framework) => Ok(Some((
            of_framework(framework, &resolved),
            why(&format!("{}: its usual build", framework.name)),
        ))),
        None if is_preview(&resolved.line) => Ok(Some((line, origin))),
        None if !reach.commands.iter().any(|command| is_server(&command.line)) => Ok(Some((line, origin))),
        None => match nx::start(source) {
            Some(found) => Ok(Some(found)),
            None => Err(only_for_development_server(start, package)),
        },
    }
}

/// Whether any part of a line serves a development version.
pub fn is_for_development(resolved: &Resolved, project: &Project) -> Result<bool> {
    let reach = reach::reach(&resolved.line, resolved.directory.as_deref(), project)?;
    Ok(develops(&reach))
}

/// What ran in front of the development server runs in front of the framework's own line.
fn of_framework(framework: &Framework, resolved: &Resolved) -> String {
    let enters = resolved.directory.as_ref().map(|directory| format!("cd {directory}"));
    let parts = enters.into_iter().chain(resolved.before.iter().cloned()).chain([framework.start.to_owned()]);
    parts.collect::<Vec<_>>().join(" && ")
}

/// The first script for production that starts a service.
fn production(project: &Project, directory: Option<&str>) -> Option<Found> {
    let package = project.package_in(directory);
    let names = PRODUCTION.iter().filter(|name| package.scripts.contains_key(**name));
    names.map(|name| run(name, directory)).find(|(line, _)| serves(line, project))
}

fn serves(line: &str, project: &Project) -> bool {
    let Ok(resolved) = line::resolve(line, project) else { return false };
    let directory = resolved.directory.as_deref();
    let Ok(reach) = reach::reach(&resolved.whole(), directory, project) else { return false };
    let only_builds = builder::Builders::default().builds(&resolved.line, directory, project);
    let leaves = resolved.line.ends_with('&')
        || reach.commands.iter().filter_map(|command| program(&command.line)).any(|(program, word)| {
            OF_ANOTHER_HOST
                .iter()
                .any(|(known, with)| *known == program && (with.is_empty() || *with == word))
        });
    !develops(&reach)
        && !only_builds
        && !leaves
        && development::only_for_development(&reach, project).is_none()
}

fn develops(reach: &Reach) -> bool {
    reach.commands.iter().any(|command| is_server(&command.line))
        || reach.commands.iter().filter_map(|command| program(&command.line)).any(|(program, _)| {
            reach::runs_several(program) && reach.commands.iter().any(|command| is_watcher(&command.line))
        })
}

fn is_server(line: &str) -> bool {
    program(line).is_some_and(|(program, word)| framework::is_development(program, word, line))
}

/// A program that watches beside another one: `concurrently "tsc -w" "nodemon dist/x.js"`.
fn is_watcher(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("nodemon") || words.any(|word| matches!(word, "-w" | "--watch" | "watch"))
}

/// A server of built files, which is slow and yet no development server.
fn is_preview(line: &str) -> bool {
    program(line).is_some_and(|(program, word)| word == "preview" || (program, word) == ("nuxt", "start"))
}

fn run(name: &str, directory: Option<&str>) -> Found {
    let line = if name == "start" { "npm start".to_owned() } else { format!("npm run {name}") };
    match directory {
        None => (line, format!("scripts.{name} in package.json")),
        Some(at) => (format!("{line} --workspace={at}"), format!("scripts.{name} in {at}/package.json")),
    }
}
