//! Parses `bootagent.toml`: how the service is built, started and checked. Every key is optional.
//!
//! Everyone who can push writes this file, so it is not trusted. Each read checks every key, in the overlays of all
//! environments: a mistake in prod's overlay must already fail in test.

mod build_first;
mod compose;
mod layer;
mod limits;
mod pm2;
mod processes;
mod proxy;
mod sources;
mod spanned;
mod tables;
mod timers;
mod value_files;
mod values;
mod volume;
mod wait_for;
mod writable;

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use crate::error::{Code, Error, Result};
use crate::facts::{Environment, LONGEST_EVIDENCE, Probe, Strength, ValueFile, ValueSource};
use crate::fault::Phase;
use crate::plan::{Limits, Seconds};

pub use build_first::BuildFirst;
use layer::Layer;
pub use pm2::{Pm2Ecosystem, Pm2Instances, Pm2Mode, Pm2Wish};
pub use processes::{Process, Processes};
pub use proxy::{ProxyLimits, ProxyWish};
use spanned::{Fault, Read, Section, position};
pub use tables::{Key, Table, Takes};
pub use timers::{Timer, Timers};
pub use values::{LONGEST_COMMAND, LowPort, RESERVED_PORT};
pub use volume::VolumeWish;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The runtime's name; none: detect it.
    pub runtime: Option<String>,
    /// The directory of the repository that the service is in; none: its root.
    pub directory: Option<String>,
    /// Directories that are installed and built before the service, in this order.
    pub build_first: Vec<BuildFirst>,
    /// The tables of runtimes, such as `[node]`.
    pub tables: tables::Tables,
    /// Whether dependencies must be locked; none: as the policy says.
    pub lockfile: Option<bool>,
    /// Commands; none: the runtime's default; empty: install nothing.
    pub install: Option<Vec<String>>,
    /// As `install`.
    pub build: Option<Vec<String>>,
    /// Commands that run once for each release, before the switch.
    pub migrate: Vec<String>,
    /// Whether the commit before works with the migrated data.
    pub migrate_reversible: bool,
    pub start: Option<String>,
    /// None: PM2 if there is a table `[pm2]`, else systemd; see [`Manifest::supervisor`].
    pub supervisor: Option<SupervisorName>,
    pub pm2: Option<Pm2Wish>,
    /// Names of OS packages.
    pub packages: Vec<String>,
    pub port: Option<u16>,
    /// Of each unit, unless a process or timer has its own.
    pub limits: Limits,
    pub timers: Timers,
    /// Addresses that must accept connections before the service starts.
    pub wait_for: Vec<String>,
    /// Programs that run beside the service.
    pub processes: Processes,
    /// An nginx in front of the service.
    pub proxy: Option<ProxyWish>,
    /// All of the manifest's ports that only the policy can allow.
    pub low_ports: Vec<LowPort>,
    /// `rehearsal.port`: the port of a candidate, different from `port`; none: no candidate is started.
    pub candidate_port: Option<u16>,
    pub health: Health,
    /// Whether the service has a secret.
    pub secret: bool,
    /// Directories that are kept across releases, relative to the release.
    pub persist: Vec<String>,
    /// Directories and files of the release that the service may change, relative to the release.
    pub writable: Vec<String>,
    pub env: EnvWish,
    /// A disk of its own for the service's data.
    pub volume: Option<VolumeWish>,
}

/// The program that starts the service's processes and restarts them.
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
    /// The kind of check; none: it follows from `path` and the port.
    pub check: Option<Strength>,
    /// None: a TCP connection or, without a port, a living process is enough.
    pub path: Option<String>,
    /// The `Host` header of the request; none: the address.
    pub host: Option<String>,
    /// The good statuses; empty: any 2xx.
    pub status: Vec<u16>,
    /// None: the default, and the wait ends early if the service listens only on other ports.
    pub timeout: Option<Seconds>,
    /// How long one answer to the request may take.
    pub answer: Seconds,
    pub soak: Seconds,
}

impl Health {
    /// The time limit for the first good answer.
    pub fn within(&self) -> Seconds {
        self.timeout.unwrap_or(Phase::HealthCheck.seconds())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvWish {
    /// Whether the release gets a `.env`.
    pub file: bool,
    /// Sources besides the service's own secret, which overrides them. Their names may have placeholders.
    pub from: Vec<ValueSource>,
    /// Values composed of others, as templates.
    pub compose: BTreeMap<String, String>,
    /// Files of the release that are made of the variables.
    pub files: Vec<ValueFile>,
    /// Variables without which the run fails, before it installs anything.
    pub required: Vec<String>,
    /// Public variables; the secret's variables override them.
    pub values: BTreeMap<String, String>,
    /// Names like `NODE_OPTIONS`, which are refused by default and allowed by this list.
    pub allow: BTreeSet<String>,
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest {
            runtime: None,
            directory: None,
            build_first: Vec::new(),
            tables: tables::Tables::new(),
            lockfile: None,
            install: None,
            build: None,
            migrate: Vec::new(),
            migrate_reversible: false,
            start: None,
            supervisor: None,
            pm2: None,
            packages: Vec::new(),
            port: None,
            limits: Limits::default(),
            timers: Timers::new(),
            wait_for: Vec::new(),
            processes: Processes::new(),
            proxy: None,
            low_ports: Vec::new(),
            candidate_port: None,
            health: Health::default(),
            secret: true,
            persist: Vec::new(),
            writable: Vec::new(),
            env: EnvWish::default(),
            volume: None,
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
        EnvWish {
            file: true,
            from: Vec::new(),
            compose: BTreeMap::new(),
            files: Vec::new(),
            required: Vec::new(),
            values: BTreeMap::new(),
            allow: BTreeSet::new(),
        }
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

    /// Without what needs the values of a secret: for a release that is only built.
    pub fn without_values(mut self) -> Manifest {
        let EnvWish { from, compose, files, required, .. } = &mut self.env;
        from.clear();
        compose.clear();
        files.clear();
        required.clear();
        self
    }

    /// Parses the text of the file `path` with the overlay of `environment`, or without an overlay. `tables` are the
    /// tables of all runtimes. The error has line and column.
    pub fn parse(
        path: &str,
        text: &str,
        environment: Option<&Environment>,
        tables: &[&Table],
    ) -> Result<Manifest> {
        let place = |at: usize| {
            let (line, column) = position(text, at);
            format!("{path}:{line}:{column}")
        };
        let mut manifest = read(text, environment, tables).map_err(|fault| {
            let cause = format!("{}: {}", place(fault.at), fault.what);
            Error::new(Code::ManifestInvalid, format!("reading {path}"), cause)
        })?;
        for low in &mut manifest.low_ports {
            low.place = place(low.at);
        }
        Ok(manifest)
    }

    /// The value of a key in a runtime's table.
    pub fn said(&self, table: &str, key: &str) -> Option<&str> {
        self.tables.get(table)?.get(key).map(String::as_str)
    }
}

/// The environments with an overlay; empty if the text is not well-formed, which `parse` reports.
pub fn environments(text: &str) -> Vec<Environment> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let root = Section::new(String::new(), table.get_ref());
    root.environments().map(|all| all.into_iter().map(|(name, ..)| name).collect()).unwrap_or_default()
}

fn read(text: &str, environment: Option<&Environment>, tables: &[&Table]) -> Read<Manifest> {
    // A fetch bounds the repository's manifest, but an operator's manifest may be longer.
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
