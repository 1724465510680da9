//! Runtimes of data hosts: a database server of the distribution that runs as the service. They need no repository. One file
//! has one server. Pure: what a server's files and first data are, as text.

mod listen;
mod mongodb;
mod postgresql;
mod redis;
pub mod server;

use super::recipe::{Kind, Need, Recipe, RecipeInputs, Runtime};
use crate::error::{Code, Error, Result};
use crate::facts::Source;
use crate::observe::manifest::Manifest;
use crate::plan::Setting;
use crate::planner::unmet::Unmet;
use server::{DataHost, Server};

pub use listen::{IS_ADDRESS, is_listen};
pub use mongodb::MONGODB;
pub use postgresql::POSTGRESQL;
pub use redis::REDIS;

/// The server of this name.
fn server(name: &str) -> Option<&'static Server> {
    [&mongodb::SERVER, &postgresql::SERVER, &redis::SERVER].into_iter().find(|server| server.name == name)
}

/// Whether a service with this manifest needs no repository.
pub fn is_one(manifest: &Manifest) -> bool {
    manifest.runtime.as_deref().is_some_and(|name| server(name).is_some())
}

/// Never detected: no file of a repository says that it is for a database server.
fn detect(_: &Source) -> Option<super::recipe::Claim> {
    None
}

fn recipe_of(of: &'static Runtime, server: &'static Server, inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    refuse(server, inputs.manifest)?;
    let settings = inputs.manifest.tables.get(server.name).cloned().unwrap_or_default();
    let version = settings.get("version").map(String::as_str);
    let mut notes = Vec::new();
    let listen = listen::addresses(server.name, settings.get("listen"), inputs.facts, &mut notes)?;
    let shown = Setting {
        name: "listen".to_owned(),
        value: listen.join(", "),
        origin: match settings.contains_key("listen") {
            true => format!("[{}] listen", server.name),
            false => "loopback and the instance's private address".to_owned(),
        },
    };
    let line = match version {
        Some(version) => format!("{} {version}", server.name),
        None => server.name.to_owned(),
    };
    Ok(Recipe {
        runtime: line.clone(),
        runtime_line: line,
        settings: vec![shown],
        needs: vec![Need::Packages((server.packages)(version))],
        defaults: [("PORT".to_owned(), server.port.to_string())].into(),
        notes,
        ..Recipe::new(of, Kind::DataHost(DataHost { server, listen, settings }))
    })
}

/// Keys that say how a program of a repository is built and run have no meaning for a server of the distribution.
fn refuse(server: &Server, manifest: &Manifest) -> Result<()> {
    let keys = [
        ("install", manifest.install.is_some()),
        ("build", manifest.build.is_some()),
        ("build_first", !manifest.build_first.is_empty()),
        ("migrate", !manifest.migrate.is_empty()),
        ("start", manifest.start.is_some()),
        ("supervisor", manifest.supervisor.is_some() || manifest.pm2.is_some()),
        ("persist", !manifest.persist.is_empty()),
        ("processes", !manifest.processes.is_empty()),
        ("proxy", manifest.proxy.is_some()),
        ("rehearsal", manifest.candidate_port.is_some()),
        ("timers", !manifest.timers.is_empty()),
        ("env.files", !manifest.env.files.is_empty()),
        ("writable", !manifest.writable.is_empty()),
        ("health.path", manifest.health.path.is_some()),
    ];
    let set: Vec<&str> = keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect();
    if set.is_empty() {
        return Ok(());
    }
    let cause = format!("runtime = \"{}\" has no {}", server.name, set.join(", "));
    Err(Error::new(Code::ManifestInvalid, format!("planning {}", server.name), cause)
        .remedy(format!("remove {} from the manifest", set.join(", "))))
}
