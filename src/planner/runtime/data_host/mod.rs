//! Runtimes of data hosts: a database server of the distribution that runs as the service. They need no repository. One file
//! has one server. Pure: what a server's files and first data are, as text.

mod listen;
mod mongodb;
mod postgresql;
mod redis;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::Start;
use super::recipe::{Kind, Need, Recipe, RecipeInputs, Runtime};
use crate::error::{Code, Error, Result};
use crate::facts::{Protocol, Source};
use crate::observe::manifest::Manifest;
use crate::plan::Setting;
use crate::planner::env::dotenv;
use crate::planner::unmet::Unmet;

pub use listen::{IS_ADDRESS, is_listen};
pub use mongodb::MONGODB;
pub use postgresql::POSTGRESQL;
pub use redis::REDIS;

/// All that is specific to one server.
#[derive(Debug)]
pub struct Server {
    /// The runtime's name, and that of the data directory.
    pub name: &'static str,
    pub port: u16,
    /// The protocol in which the health check asks.
    pub protocol: Protocol,
    /// The distribution's packages. `version`: the one that the manifest names.
    pub packages: fn(version: Option<&str>) -> Vec<String>,
    /// The packages' own units, masked before they are installed: they would run a second server, with the
    /// distribution's configuration.
    pub own_units: &'static [&'static str],
    /// A version of the program in a directory of its own, found when the packages are there.
    pub versions: Option<Versions>,
    /// The first user's variables: without the password, the run is refused.
    pub user: Option<&'static str>,
    pub default_user: &'static str,
    pub password: &'static str,
    /// A database for that user, if this variable names one.
    pub database: Option<&'static str>,
    /// Its files below /opt/<service>, by name.
    pub files: fn(&Described) -> Vec<(&'static str, String)>,
    pub argv: fn(&Described) -> Vec<String>,
    /// A command before each start, as the service's user and with the service's variables.
    pub before_start: fn(&Described) -> Option<Vec<String>>,
    /// The signal after which it ends without waiting for its clients, if that is not SIGTERM.
    pub stop_signal: Option<&'static str>,
    /// Makes the first data in the directory `$new`, with the first user in it. Runs once for each data directory.
    pub script: &'static str,
}

#[derive(Debug)]
pub struct Versions {
    /// Directories that may hold one, the distribution's first. A `*` stands for the version.
    pub directories: &'static [&'static str],
    /// The program in such a directory.
    pub program: &'static str,
}

/// A server on this machine.
#[derive(Clone, Debug)]
pub struct DataHost {
    pub server: &'static Server,
    /// The addresses at which it listens, loopback among them.
    pub listen: Vec<String>,
    /// The manifest's table.
    pub settings: BTreeMap<String, String>,
}

/// What the texts of a server's files depend on.
pub struct Described<'a> {
    pub host: &'a DataHost,
    pub port: u16,
    /// /opt/<service>, with the files.
    pub home: &'a Path,
    /// /var/lib/<service>, where only the service's user may enter.
    pub state: &'a Path,
    /// The data directory.
    pub data: &'a Path,
}

impl Described<'_> {
    pub fn file(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    pub fn setting(&self, key: &str) -> Option<&str> {
        self.host.settings.get(key).map(String::as_str)
    }

    /// The program of a server with [`Versions`]: a link leads to the version that fits the data.
    pub fn versioned(&self, program: &str) -> String {
        let name = self.host.server.name;
        link(self.home, name).join(program).display().to_string()
    }
}

/// The link to the server's version.
pub fn link(home: &Path, server: &str) -> PathBuf {
    home.join(server)
}

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
        directory: Default::default(),
        of,
        runtime: line.clone(),
        runtime_line: line,
        chosen_by: "runtime in bootagent.toml".to_owned(),
        settings: vec![shown],
        needs: vec![Need::Packages((server.packages)(version))],
        work: Vec::new(),
        build_environment: BTreeMap::new(),
        tool_environment: BTreeMap::new(),
        keeps_home: false,
        start: Start::none(),
        guess: None,
        is_web: false,
        migrate: Vec::new(),
        migrate_lines: Vec::new(),
        migrate_environment: BTreeMap::new(),
        dotenv: &dotenv::NODE,
        defaults: [("PORT".to_owned(), server.port.to_string())].into(),
        programs: Vec::new(),
        path: Vec::new(),
        caches: Vec::new(),
        stores_uploads: None,
        writes: Vec::new(),
        kind: Kind::DataHost(DataHost { server, listen, settings }),
        notes,
    })
}

/// Keys that say how a program of a repository is built and run have no meaning for a server of the distribution.
fn refuse(server: &Server, manifest: &Manifest) -> Result<()> {
    let keys = [
        ("install", manifest.install.is_some()),
        ("build", manifest.build.is_some()),
        ("migrate", !manifest.migrate.is_empty()),
        ("start", manifest.start.is_some()),
        ("supervisor", manifest.supervisor.is_some() || manifest.pm2.is_some()),
        ("persist", !manifest.persist.is_empty()),
        ("rehearsal", manifest.candidate_port.is_some()),
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
