//! `bootagent.toml`: what the service is, in its repository's words. Every key is optional.
//!
//! The file is written by everyone who can push: it is checked to the last key on every read, the overlays of
//! all environments included, so that a slip in prod's shows in test.

mod layer;
mod place;
mod pm2;
mod tables;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use crate::error::{Code, Error, Result};
use crate::facts::{Environment, LONGEST_EVIDENCE, Probe, Strength};
use crate::fault::Phase;
use crate::plan::Seconds;

use layer::Layer;
use place::{Fault, Read, Section, position};
pub use pm2::{Pm2Ecosystem, Pm2Instances, Pm2Mode, Pm2Wish};
pub use tables::{Key, Table};
pub use values::RESERVED_PORT;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name. Absent: to be detected.
    pub runtime: Option<String>,
    /// What the tables of runtimes say.
    pub tables: tables::Tables,
    /// Absent: the runtime's own way. Empty: nothing is to be installed.
    pub install: Option<Vec<String>>,
    /// As `install`.
    pub build: Option<Vec<String>>,
    /// Once for each release, before it is switched to.
    pub migrate: Vec<String>,
    pub start: Option<String>,
    /// Absent: the one that another key asks for, else systemd alone.
    pub supervisor: Option<SupervisorName>,
    pub pm2: Option<Pm2Wish>,
    /// Of the distribution, by name.
    pub packages: Vec<String>,
    pub port: Option<u16>,
    /// Where a commit proves itself beside the one that serves: a port that is not `port`. Absent: nowhere.
    pub candidate_port: Option<u16>,
    pub health: Health,
    /// Whether the service has a secret at all.
    pub secret: bool,
    /// Directories that outlive a release, relative to it.
    pub persist: Vec<String>,
    pub env: EnvWish,
}

/// Who keeps the service running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupervisorName {
    /// The unit runs the service itself.
    Systemd,
    /// The unit runs PM2, which runs the service's processes.
    Pm2,
}

impl SupervisorName {
    pub const ALL: &'static [SupervisorName] = &[SupervisorName::Systemd, SupervisorName::Pm2];

    pub fn name(self) -> &'static str {
        match self {
            SupervisorName::Systemd => "systemd",
            SupervisorName::Pm2 => "pm2",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The kind of check, said in words. Absent: what path and port make of it.
    pub check: Option<Strength>,
    /// Absent: a TCP connection or, without a port, a living process is enough.
    pub path: Option<String>,
    /// The `Host` header of the request. Absent: the address.
    pub host: Option<String>,
    /// Which answers are good. Empty: any 2xx.
    pub status: Vec<u16>,
    /// Absent: the default, which the wait for a service that listens elsewhere may cut short.
    pub timeout: Option<Seconds>,
    /// How long one answer to the request may take.
    pub answer: Seconds,
    pub soak: Seconds,
}

impl Health {
    /// How long the service may take to its first good answer.
    pub fn within(&self) -> Seconds {
        self.timeout.unwrap_or(Phase::HealthCheck.seconds())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvWish {
    /// Whether the release gets a `.env`.
    pub file: bool,
    /// Variables that must be there before anything is installed.
    pub required: Vec<String>,
    /// Public values; the secret's win.
    pub values: BTreeMap<String, String>,
    /// Names like `NODE_OPTIONS`, which may then be set.
    pub allow: BTreeSet<String>,
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest {
            runtime: None,
            tables: tables::Tables::new(),
            install: None,
            build: None,
            migrate: Vec::new(),
            start: None,
            supervisor: None,
            pm2: None,
            packages: Vec::new(),
            port: None,
            candidate_port: None,
            health: Health::default(),
            secret: true,
            persist: Vec::new(),
            env: EnvWish::default(),
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Health {
            check: None,
            path: None,
            host: None,
            status: Vec::new(),
            timeout: None,
            answer: Probe::answer(),
            soak: Seconds(5),
        }
    }
}

impl Default for EnvWish {
    fn default() -> Self {
        EnvWish { file: true, required: Vec::new(), values: BTreeMap::new(), allow: BTreeSet::new() }
    }
}

impl Manifest {
    pub fn supervisor(&self) -> SupervisorName {
        match (self.supervisor, &self.pm2) {
            (Some(name), _) => name,
            (None, Some(_)) => SupervisorName::Pm2,
            (None, None) => SupervisorName::Systemd,
        }
    }

    /// Reads the text of `path` as it applies to `environment`, or to none in particular. `tables` are those of the
    /// runtimes that there are.
    pub fn parse(
        path: &str,
        text: &str,
        environment: Option<&Environment>,
        tables: &[&Table],
    ) -> Result<Manifest> {
        read(text, environment, tables).map_err(|fault| {
            let (line, column) = position(text, fault.at);
            let cause = format!("{path}:{line}:{column}: {}", fault.what);
            Error::new(Code::ManifestInvalid, format!("reading {path}"), cause)
        })
    }

    /// What a runtime's table says under a key.
    pub fn said(&self, table: &str, key: &str) -> Option<&str> {
        self.tables.get(table)?.get(key).map(String::as_str)
    }
}

/// The environments that a manifest overlays. Whether it is well-formed, `parse` tells.
pub fn environments(text: &str) -> Vec<Environment> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let root = Section::new(String::new(), table.get_ref());
    root.environments().map(|all| all.into_iter().map(|(name, ..)| name).collect()).unwrap_or_default()
}

fn read(text: &str, environment: Option<&Environment>, tables: &[&Table]) -> Read<Manifest> {
    // An operator's own manifest may come in as long as any other file of root's.
    if text.len() as u64 > LONGEST_EVIDENCE {
        let what = format!("the file has {} bytes; the limit is {LONGEST_EVIDENCE}", text.len());
        return Err(Fault { at: 0, what });
    }
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        Fault { at, what: error.message().to_owned() }
    })?;
    let root = Section::new(String::new(), table.get_ref());
    let base = Layer::read(&root, tables)?;
    let mut manifest = base.clone().finish()?;
    let overlays = root.environments()?;
    let named: BTreeSet<&Environment> = overlays.iter().map(|(name, ..)| name).collect();
    for (name, at, section) in &overlays {
        let overlaid = base.clone().under(Layer::read(section, tables)?).finish()?;
        let short = name.short();
        if let Some(short) = short.as_ref().filter(|short| named.contains(short)) {
            let what = format!("environments.{name} and environments.{short} are the same environment");
            return Err(Fault { at: *at, what });
        }
        if environment.is_some_and(|wanted| wanted == name || short.as_ref() == Some(wanted)) {
            manifest = overlaid;
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod health_tests;
#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod tests;
