//! A build script that migrates the database: `drizzle-kit migrate && next build`. A build has no secret, and so no database. Pure.

use super::builder::migrates;
use super::project::Project;
use super::reach::reach;
use crate::observe::manifest::Manifest;
use crate::planner::runtime::procfile::in_toml;
use crate::secret::excerpt;

/// The note, with the lines of a manifest that make two of it. `builds`: the build commands of the plan.
pub fn note(manifest: &Manifest, project: &Project, builds: &[&str]) -> Option<String> {
    if manifest.build.is_some() {
        return None;
    }
    let reached = builds.iter().filter_map(|line| reach(line, None, project).ok());
    let mut migrations = Vec::new();
    let mut others = Vec::new();
    let mut is_whole = true;
    for found in reached {
        is_whole &= found.doubt.is_none() && found.commands.iter().all(|command| command.directory.is_none());
        for command in found.commands.into_iter().filter(|command| runs_itself(&command.line, project)) {
            let to = if migrates(&command.line) { &mut migrations } else { &mut others };
            to.push(command.line);
        }
    }
    let first = migrations.first()?;
    let lines: Vec<String> = others.iter().map(|line| in_toml(&excerpt(line))).collect();
    let build = match (is_whole, lines.is_empty()) {
        (true, true) => "false".to_owned(),
        (true, false) => format!("[{}]", lines.join(", ")),
        (false, _) => "[...]".to_owned(),
    };
    Some(format!(
        "the build migrates a database ({}), for which a build has no secret: migrate = {} runs it once for each release, and build = {build} leaves it out",
        excerpt(first),
        in_toml(&excerpt(first))
    ))
}

/// Not of a runner, such as `run-s` and `dotenv`: what those run is found beside them.
fn runs_itself(line: &str, project: &Project) -> bool {
    reach(line, None, project).is_ok_and(|found| found.commands.len() == 1)
}
