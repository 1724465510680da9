//! A service's repository, checked without a machine, an instance or the network.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::ValidateArgs;
use crate::error::{Code, Error, Result};
use crate::facts::{Environment, Facts, NodeRuntime, Service, Source};
use crate::machine::{LocalHost, Observe};
use crate::observe::manifest::{self, Manifest};
use crate::observe::{self, MANIFEST, NodeArchives};
use crate::plan::layout::Layout;
use crate::planner::{self, persist, rehearsal, runtime, supervisor};
use crate::report::print;

pub async fn validate(args: &ValidateArgs) -> u8 {
    match check(&args.path).await.and_then(|said| print(&(said.join("\n") + "\n"))) {
        Ok(()) => 0,
        Err(error) => super::told(&error),
    }
}

async fn check(path: &Path) -> Result<Vec<String>> {
    let machine = LocalHost::observer();
    let evidence = planner::evidence().into_iter().chain([MANIFEST.to_owned()]).collect::<Vec<_>>();
    let source = machine.tree(path, &evidence)?;
    let text = observe::repository_manifest(&source)?;
    // Once without an overlay, and once for each environment that the manifest overlays.
    let mut environments: BTreeSet<Option<Environment>> = [None].into();
    environments.extend(text.map(manifest::environments).unwrap_or_default().into_iter().map(Some));
    let mut said = vec![match text {
        Some(_) => format!("{MANIFEST}: well-formed"),
        None => format!("{MANIFEST}: none, everything by convention"),
    }];
    for environment in environments {
        let manifest = match text {
            Some(text) => Manifest::parse(MANIFEST, text, environment.as_ref())?,
            None => Manifest::default(),
        };
        let name = environment.map_or_else(|| "every environment".to_owned(), |name| name.to_string());
        said.extend(recipe(&source, &manifest)?.into_iter().map(|line| format!("{name}: {line}")));
    }
    Ok(said)
}

/// What a boot would do, as far as it does not depend on the machine.
fn recipe(source: &Source, manifest: &Manifest) -> Result<Vec<String>> {
    let service = Service::try_from("service").map_err(|error| Error::new(Code::Bug, "validating", error))?;
    let recipe =
        runtime::recipe(source, manifest, &any_machine(), &NodeArchives::default(), &Layout::new(&service))?;
    persist::refuse(source, manifest, &recipe)?;
    (supervisor::of(manifest).refuse)(source, manifest, &recipe)?;
    rehearsal::refuse(manifest.rehearsal, manifest.port, &recipe.start)?;
    let mut said = Vec::new();
    if !manifest.packages.is_empty() {
        said.push(format!("packages: {}, which the policy may forbid", manifest.packages.join(", ")));
    }
    said.extend(recipe.work.iter().map(|work| format!("{}: {}", work.name, work.argv.join(" "))));
    said.extend(recipe.migrate.iter().map(|argv| format!("migrate: {}", argv.join(" "))));
    if let Some(port) = manifest.rehearsal {
        said.push(format!("rehearsal: an update starts on port {port} first"));
    }
    said.push(format!("start: {}", recipe.start.argv.join(" ")));
    let hints = persist::hints(source, manifest, &recipe);
    said.extend(recipe.notes.iter().chain(&hints).map(|note| format!("note: {note}")));
    let port = manifest.port.is_some()
        || manifest.env.values.contains_key("PORT")
        || recipe.start.environment.contains_key("PORT");
    match (&manifest.health.path, manifest.health.check) {
        (Some(path), _) if !port => {
            said.push(format!("note: {path} is asked for on PORT, which the secret must then have"));
        }
        (None, None) if !port => {
            let what =
                "without a port, and without PORT in the secret, healthy is whatever process stays alive";
            said.push(format!("note: {what}: set port and health"));
        }
        _ => {}
    }
    Ok(said)
}

/// A machine on which every version that is asked for is installed.
fn any_machine() -> Facts {
    Facts {
        node: vec![NodeRuntime {
            version: runtime::ANY_VERSION.to_owned(),
            bin: "/node/bin".into(),
            npm: true,
        }],
        ..Facts::default()
    }
}
