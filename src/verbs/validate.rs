//! `bootagent validate`: checks a service's repository offline, without knowledge of a machine or an instance.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::ValidateArgs;
use crate::error::{Code, Error, Result};
use crate::facts::{Ask, Environment, Facts, Installed, Places, Question, Service, Source};
use crate::machine::{LocalHost, Observe};
use crate::observe::manifest::{self, Manifest};
use crate::observe::{self, MANIFEST};
use crate::plan::layout::Layout;
use crate::planner::runtime::{self, RecipeInputs};
use crate::planner::{self, MAX_QUESTIONS, Unmet, candidate, persist, supervisor};
use crate::report::print;

pub async fn validate(args: &ValidateArgs) -> u8 {
    match check(&args.path).await.and_then(|lines| print(&(lines.join("\n") + "\n"))) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

async fn check(path: &Path) -> Result<Vec<String>> {
    let machine = LocalHost::observer();
    let mut evidence = planner::evidence().into_iter().chain([MANIFEST.to_owned()]).collect::<Vec<_>>();
    for _ in 0..MAX_QUESTIONS {
        let source = machine.tree(path, &evidence)?;
        match judge(&source) {
            Err(Unmet::Ask(Question { ask: Ask::Evidence(more), .. })) => evidence.extend(more),
            judged => return judged.map_err(Unmet::into_error),
        }
    }
    Err(Error::new(Code::Bug, "validating", "the planner asks for further files without end"))
}

fn judge(source: &Source) -> Result<Vec<String>, Unmet> {
    let text = observe::repository_manifest(source)?;
    // Once without an environment, and once for each environment that has its own table in the manifest.
    let mut environments: BTreeSet<Option<Environment>> = [None].into();
    environments.extend(text.map(manifest::environments).unwrap_or_default().into_iter().map(Some));
    let mut lines = vec![match text {
        Some(_) => format!("{MANIFEST}: well-formed"),
        None => format!("{MANIFEST}: absent, defaults apply"),
    }];
    for environment in environments {
        let manifest = match text {
            Some(text) => Manifest::parse(MANIFEST, text, environment.as_ref(), &runtime::tables())?,
            None => Manifest::default(),
        };
        let name = environment.map_or_else(|| "every environment".to_owned(), |name| name.to_string());
        lines.extend(recipe(source, &manifest)?.into_iter().map(|line| format!("{name}: {line}")));
    }
    Ok(lines)
}

/// What a boot would do, as far as it does not depend on the machine.
fn recipe(source: &Source, manifest: &Manifest) -> Result<Vec<String>, Unmet> {
    let service = Service::try_from("service").map_err(|error| Error::new(Code::Bug, "validating", error))?;
    let recipe = runtime::recipe(&RecipeInputs {
        source,
        manifest,
        facts: &any_machine(),
        archives: &Default::default(),
        mirrors: &Default::default(),
        packages: &Default::default(),
        network: &Default::default(),
        requires_lockfile: manifest.lockfile.unwrap_or(true),
        layout: &Layout::new(&service),
        is_started_by_supervisor: supervisor::starts(source, manifest),
    })?;
    persist::refuse(source, manifest, &recipe)?;
    (supervisor::of(manifest).refuse)(source, manifest, &recipe)?;
    candidate::refuse(manifest.candidate_port, manifest.port, &recipe.start)?;
    let mut lines = Vec::new();
    if !manifest.packages.is_empty() {
        lines.push(format!("packages: {}, if the policy allows them", manifest.packages.join(", ")));
    }
    lines.extend(recipe.work.iter().map(|work| format!("{}: {}", work.name, work.argv.join(" "))));
    lines.extend(recipe.migrate.iter().map(|argv| format!("migrate: {}", argv.join(" "))));
    if let Some(port) = manifest.candidate_port {
        lines.push(format!("candidate: an update is started on port {port} first"));
    }
    lines.push(format!("start: {}", recipe.start.argv.join(" ")));
    let hints = persist::hints(source, manifest, &recipe);
    lines.extend(recipe.notes.iter().chain(&hints).map(|note| format!("note: {note}")));
    let port = manifest.port.is_some()
        || manifest.env.values.contains_key("PORT")
        || recipe.start.environment.contains_key("PORT");
    match (&manifest.health.path, manifest.health.check) {
        (Some(path), _) if !port => {
            let what = format!("{path} is requested on PORT, if the secret contains it, or else");
            lines.push(format!("note: {what} on the port that the service is found to listen on: set port"));
        }
        (None, None) if !port => {
            let what = "without a port, and without PORT in the secret, the port is found by observation, and if nothing \
                        listens, a process that stays alive counts as healthy";
            lines.push(format!("note: {what}: set port and health"));
        }
        _ => {}
    }
    Ok(lines)
}

/// A machine that has each version that a repository may require, with made-up paths: `/node/bin/node`.
fn any_machine() -> Facts {
    let any = |places: &&Places| {
        let installed = Installed {
            version: runtime::ANY_VERSION.to_owned(),
            program: format!("/{0}/bin/{0}", places.program).into(),
            beside: places.beside.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        (places.program.to_owned(), vec![installed])
    };
    Facts { programs: runtime::programs().iter().map(any).collect(), ..Facts::default() }
}
