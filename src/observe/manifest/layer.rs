//! The keys of one layer of a manifest: its base, or the overlay of one environment. A new key is added here.

use std::collections::{BTreeMap, BTreeSet};

use super::pm2::Pm2Layer;
use super::processes::{self, Processes};
use super::proxy::ProxyLayer;
use super::spanned::{Fault, Item, Placed, Read, Section};
use super::tables::{self, Table, Tables};
use super::timers::{self, Timers};
use super::volume::VolumeLayer;
use super::{
    BuildFirst, EnvWish, Health, Manifest, SupervisorName, build_first, compose, limits, sources,
    value_files, values, wait_for, writable,
};
use crate::facts::{Strength, ValueFile};
use crate::observe::secrets::Refusal;
use crate::plan::{Limits, Seconds};

const KEYS: &[&str] = &[
    "build",
    "build_first",
    "directory",
    "env",
    "environments",
    "health",
    "install",
    "limits",
    "lockfile",
    "migrate",
    "migrate_reversible",
    "packages",
    "persist",
    "pm2",
    "port",
    "processes",
    "proxy",
    "rehearsal",
    "runtime",
    "secret",
    "start",
    "supervisor",
    "timers",
    "volume",
    "wait_for",
    "writable",
];
const HEALTH_KEYS: &[&str] = &["answer", "check", "host", "path", "soak", "status", "timeout"];
const ENV_KEYS: &[&str] = &["allow", "compose", "file", "files", "from", "required", "values"];

/// The values of one layer; a key that the layer does not have is `None`.
#[derive(Clone, Default)]
pub(super) struct Layer {
    runtime: Option<String>,
    directory: Option<String>,
    build_first: Option<Vec<Placed<BuildFirst>>>,
    tables: Tables,
    limits: Limits,
    lockfile: Option<bool>,
    install: Option<Vec<String>>,
    build: Option<Vec<String>>,
    migrate: Option<Vec<String>>,
    migrate_reversible: Option<bool>,
    start: Option<String>,
    supervisor: Option<Placed<SupervisorName>>,
    timers: Option<Placed<Timers>>,
    wait_for: Option<Vec<String>>,
    pm2: Option<Pm2Layer>,
    packages: Option<Vec<String>>,
    port: Option<Placed<u16>>,
    processes: Option<Processes>,
    proxy: Option<ProxyLayer>,
    rehearsal: Option<Placed<u16>>,
    health: HealthLayer,
    secret: Option<bool>,
    persist: Option<Vec<String>>,
    env: EnvLayer,
    volume: Option<VolumeLayer>,
    writable: Option<Placed<Vec<String>>>,
}

#[derive(Clone, Default)]
struct HealthLayer {
    check: Option<Placed<Strength>>,
    path: Option<String>,
    host: Option<Placed<String>>,
    status: Option<Vec<u16>>,
    timeout: Option<Seconds>,
    answer: Option<Placed<Seconds>>,
    soak: Option<Seconds>,
}

#[derive(Clone, Default)]
struct EnvLayer {
    file: Option<bool>,
    from: Option<Vec<sources::Wanted>>,
    compose: BTreeMap<String, Placed<values::Variable>>,
    files: BTreeMap<String, Placed<ValueFile>>,
    required: Option<Vec<String>>,
    allow: Option<BTreeSet<String>>,
    values: BTreeMap<String, Placed<values::Variable>>,
}

impl Layer {
    pub fn read(section: &Section<'_>, runtimes: &[&Table]) -> Read<Layer> {
        let mut known: Vec<&str> =
            KEYS.iter().copied().chain(runtimes.iter().map(|table| table.name)).collect();
        known.retain(|key| section.is_root() || *key != "environments");
        known.sort_unstable();
        let mut layer = Layer::default();
        for (key, at, item) in section.entries() {
            match key {
                "runtime" => layer.runtime = Some(values::runtime(&item, runtimes)?),
                "directory" => layer.directory = Some(values::directory(&item)?),
                "build_first" => layer.build_first = Some(build_first::read(&item, runtimes)?),
                "limits" => layer.limits = limits::read(&item, KEYS)?,
                "lockfile" => layer.lockfile = Some(item.flag()?),
                "install" => layer.install = Some(values::commands(&item)?),
                "build" => layer.build = Some(values::commands(&item)?),
                "migrate" => layer.migrate = Some(values::commands(&item)?),
                "migrate_reversible" => layer.migrate_reversible = Some(item.flag()?),
                "start" => layer.start = Some(values::command(&item)?),
                "supervisor" => layer.supervisor = Some(item.placed(values::supervisor(&item)?)),
                "wait_for" => layer.wait_for = Some(wait_for::read(&item)?),
                "timers" => layer.timers = Some(item.placed(timers::read(&item, KEYS)?)),
                "pm2" => layer.pm2 = Some(Pm2Layer::read(&item, KEYS)?),
                "port" => layer.port = Some(item.placed(values::port(&item)?)),
                "processes" => layer.processes = Some(processes::read(&item, KEYS)?),
                "proxy" => layer.proxy = Some(ProxyLayer::read(&item, KEYS)?),
                "rehearsal" => layer.rehearsal = rehearsal(&item)?,
                "health" => layer.health = HealthLayer::read(&item)?,
                "secret" => layer.secret = Some(item.flag()?),
                "packages" => layer.packages = Some(values::packages(&item)?),
                "persist" => layer.persist = Some(values::directories(&item)?),
                "volume" => layer.volume = Some(VolumeLayer::read(&item, KEYS)?),
                "writable" => layer.writable = Some(item.placed(values::directories(&item)?)),
                "env" => layer.env = EnvLayer::read(&item.table()?)?,
                "environments" if section.is_root() => {}
                _ => match runtimes.iter().find(|table| table.name == key) {
                    Some(table) => {
                        let values = tables::read(table, &item, &known)?;
                        layer.tables.extend((!values.is_empty()).then(|| (key.to_owned(), values)));
                    }
                    None => return Err(section.unknown(key, at, &known, &[])),
                },
            }
        }
        Ok(layer)
    }

    /// This layer with the overlay `over`: tables merge key by key, other values are replaced.
    pub fn under(self, over: Layer) -> Layer {
        Layer {
            runtime: over.runtime.or(self.runtime),
            directory: over.directory.or(self.directory),
            build_first: over.build_first.or(self.build_first),
            tables: tables::over(over.tables, self.tables),
            limits: self.limits.under(over.limits),
            lockfile: over.lockfile.or(self.lockfile),
            install: over.install.or(self.install),
            build: over.build.or(self.build),
            migrate: over.migrate.or(self.migrate),
            migrate_reversible: over.migrate_reversible.or(self.migrate_reversible),
            start: over.start.or(self.start),
            supervisor: over.supervisor.or(self.supervisor),
            timers: timers::merged(self.timers, over.timers),
            wait_for: over.wait_for.or(self.wait_for),
            pm2: Pm2Layer::merged(self.pm2, over.pm2),
            packages: over.packages.or(self.packages),
            port: over.port.or(self.port),
            processes: processes::merged(self.processes, over.processes),
            proxy: ProxyLayer::merged(self.proxy, over.proxy),
            rehearsal: over.rehearsal.or(self.rehearsal),
            health: self.health.under(over.health),
            secret: over.secret.or(self.secret),
            persist: over.persist.or(self.persist),
            env: self.env.under(over.env),
            volume: VolumeLayer::merged(self.volume, over.volume),
            writable: over.writable.or(self.writable),
        }
    }

    /// Fills in defaults, and makes the checks that need the values of all layers.
    pub fn finish(self) -> Read<Manifest> {
        let default = Manifest::default();
        let port = self.port.as_ref().map(|port| port.value);
        let rehearsal = self.rehearsal.as_ref();
        let low_port = self.port.as_ref().and_then(|port| values::LowPort::of("port", port));
        let mut low_ports: Vec<values::LowPort> = low_port.into_iter().collect();
        let others = [("port", port), ("rehearsal.port", rehearsal.map(|port| port.value))];
        timers::refuse_names_of(self.timers.as_ref(), self.processes.as_ref())?;
        let persist = self.persist.as_deref().unwrap_or_default();
        Ok(Manifest {
            runtime: self.runtime,
            build_first: build_first::finish(
                self.build_first.unwrap_or_default(),
                self.directory.as_deref(),
            )?,
            directory: self.directory,
            tables: self.tables,
            limits: self.limits,
            lockfile: self.lockfile,
            install: self.install,
            build: self.build,
            migrate: self.migrate.unwrap_or(default.migrate),
            migrate_reversible: self.migrate_reversible.unwrap_or(default.migrate_reversible),
            start: self.start,
            pm2: Pm2Layer::finish(self.pm2, self.supervisor.as_ref())?,
            supervisor: self.supervisor.map(|name| name.value),
            timers: self.timers.map(|timers| timers.value).unwrap_or_default(),
            wait_for: self.wait_for.unwrap_or_default(),
            packages: self.packages.unwrap_or(default.packages),
            port,
            processes: self.processes.unwrap_or_default(),
            proxy: ProxyLayer::finish(self.proxy, &others, &mut low_ports)?,
            low_ports,
            candidate_port: self.rehearsal.map(|rehearsal| beside(&rehearsal, port)).transpose()?,
            health: self.health.finish(default.health, port)?,
            secret: self.secret.unwrap_or(default.secret),
            writable: writable::finish(self.writable.as_ref(), persist)?,
            env: self.env.finish(
                default.env,
                persist.iter().chain(self.writable.iter().flat_map(|paths| &paths.value)),
            )?,
            volume: VolumeLayer::finish(self.volume)?,
            persist: self.persist.unwrap_or(default.persist),
        })
    }
}

fn rehearsal(item: &Item<'_>) -> Read<Option<Placed<u16>>> {
    let section = item.table()?;
    let mut port = None;
    for (key, at, item) in section.entries() {
        match key {
            "port" => port = Some(item.placed(values::open_port(&item)?)),
            _ => return Err(section.unknown(key, at, &["port"], KEYS)),
        }
    }
    Ok(port)
}

/// A candidate runs while the service listens on `port`, so it needs another port.
fn beside(rehearsal: &Placed<u16>, port: Option<u16>) -> Read<u16> {
    let fault = |what: &str| Fault { at: rehearsal.at, what: format!("rehearsal.port {what}") };
    match port {
        None => Err(fault("needs port, the service's usual port")),
        Some(port) if port == rehearsal.value => {
            Err(fault("is the service's own port; expected another one"))
        }
        Some(_) => Ok(rehearsal.value),
    }
}

impl HealthLayer {
    fn read(item: &Item<'_>) -> Read<HealthLayer> {
        let mut health = HealthLayer::default();
        if item.as_str().is_some() {
            health.path = Some(values::url_path(item)?);
            return Ok(health);
        }
        let section = item.table().map_err(|_| item.expected("a path or a table"))?;
        for (key, at, item) in section.entries() {
            match key {
                "check" => health.check = Some(item.placed(values::check(&item)?)),
                "path" => health.path = Some(values::url_path(&item)?),
                "host" => health.host = Some(item.placed(values::host(&item)?)),
                "status" => health.status = Some(values::statuses(&item)?),
                "timeout" => health.timeout = Some(values::seconds(&item)?),
                "answer" => health.answer = Some(item.placed(values::seconds(&item)?)),
                "soak" => health.soak = Some(values::seconds(&item)?),
                _ => return Err(section.unknown(key, at, HEALTH_KEYS, KEYS)),
            }
        }
        Ok(health)
    }

    fn under(self, over: HealthLayer) -> HealthLayer {
        HealthLayer {
            check: over.check.or(self.check),
            path: over.path.or(self.path),
            host: over.host.or(self.host),
            status: over.status.or(self.status),
            timeout: over.timeout.or(self.timeout),
            answer: over.answer.or(self.answer),
            soak: over.soak.or(self.soak),
        }
    }

    /// A key that contradicts `health.check` is a mistake: either reading could be wrong.
    fn finish(self, default: Health, port: Option<u16>) -> Read<Health> {
        if let Some(check) = &self.check {
            let fault = |what: &str| {
                let what = format!("health.check is \"{}\", {what}", check.value.name());
                Err(Fault { at: check.at, what })
            };
            match (check.value, self.path.is_some(), port.is_some()) {
                (Strength::Http, false, _) => {
                    return fault("which needs health.path, the path to request");
                }
                (Strength::Port | Strength::Process, true, _) => {
                    return fault("and health.path asks for an HTTP check: remove one of the two");
                }
                (Strength::Process, _, true) => {
                    return fault("and port asks for a check of the port: remove one of the two");
                }
                _ => {}
            }
        }
        if let Some(host) = self.host.as_ref().filter(|_| self.path.is_none()) {
            let what = "health.host needs health.path: without a request there is no Host header";
            return Err(Fault { at: host.at, what: what.to_owned() });
        }
        if let Some(answer) = self.answer.as_ref().filter(|_| self.path.is_none()) {
            let what = "health.answer needs health.path: without a request there is no answer to wait for";
            return Err(Fault { at: answer.at, what: what.to_owned() });
        }
        Ok(Health {
            check: self.check.map(|check| check.value),
            path: self.path,
            host: self.host.map(|host| host.value),
            status: self.status.unwrap_or(default.status),
            timeout: self.timeout,
            answer: self.answer.map_or(default.answer, |answer| answer.value),
            soak: self.soak.unwrap_or(default.soak),
        })
    }
}

impl EnvLayer {
    fn read(section: &Section<'_>) -> Read<EnvLayer> {
        let mut env = EnvLayer::default();
        for (key, at, item) in section.entries() {
            match key {
                "file" => env.file = Some(item.flag()?),
                "files" => env.files = value_files::files(&item)?,
                "from" => env.from = Some(sources::sources(&item)?),
                "compose" => env.compose = compose::templates(&item)?,
                "required" => env.required = Some(values::names(&item, values::MOST_VARIABLES)?),
                "allow" => env.allow = Some(values::allowed(&item)?),
                "values" => env.values = values::variables(&item)?,
                _ => return Err(section.unknown(key, at, ENV_KEYS, KEYS)),
            }
        }
        Ok(env)
    }

    fn under(mut self, over: EnvLayer) -> EnvLayer {
        self.values.extend(over.values);
        self.compose.extend(over.compose);
        self.files.extend(over.files);
        EnvLayer {
            file: over.file.or(self.file),
            from: over.from.or(self.from),
            compose: self.compose,
            files: self.files,
            required: over.required.or(self.required),
            allow: over.allow.or(self.allow),
            values: self.values,
        }
    }

    fn finish<'a>(self, default: EnvWish, elsewhere: impl Iterator<Item = &'a String>) -> Read<EnvWish> {
        let allow = self.allow.clone().unwrap_or(default.allow);
        for (at, place, name, refusal) in self.refused() {
            if !refusal.allowable || !allow.contains(name) {
                return Err(Fault { at, what: format!("{place}{name} is refused: {}", refusal.why) });
            }
        }
        compose::refuse_circle(&self.compose)?;
        let from = self.from.unwrap_or_default().into_iter().map(|wanted| wanted.source);
        Ok(EnvWish {
            file: self.file.unwrap_or(default.file),
            from: from.collect(),
            compose: self.compose.into_iter().map(|(name, text)| (name, text.value.text)).collect(),
            files: value_files::finish(self.files, elsewhere)?,
            required: self.required.unwrap_or(default.required),
            values: self.values.into_iter().map(|(name, value)| (name, value.value.text)).collect(),
            allow,
        })
    }

    /// All names that are set here and refused by default: the byte offset, what precedes the name in messages, the name.
    fn refused(&self) -> impl Iterator<Item = (usize, &'static str, &String, Refusal)> {
        let tables = [("env.values.", &self.values), ("env.compose.", &self.compose)];
        let set = tables.into_iter().flat_map(|(place, all)| {
            all.iter().filter_map(move |(name, value)| Some((value.at, place, name, value.value.refusal?)))
        });
        let from = self.from.iter().flatten().flat_map(|wanted| &wanted.refused);
        set.chain(from.map(|found| (found.at, "env.from: ", &found.value.0, found.value.1)))
    }
}
