//! What runs a container: docker's client in the foreground, in the service's unit. systemd alone restarts it, its output
//! is in the journal as that of any service, and the container is removed when it ends.
//!
//! The unit itself runs as root, because docker's socket is root's, but with the hardening of every service: the client
//! only talks to the daemon. No option that would give the container more of the machine can be named in a manifest.

use std::fmt::Write;
use std::path::Path;

use super::restarts::restarts;
use super::unit_syntax::{escape, line};
use super::{App, Service, Supervisor};
use crate::error::{Code, Error, Result};
use crate::facts::{Source, Supervised};
use crate::observe::Selection;
use crate::observe::manifest::{Manifest, SupervisorName};
use crate::plan::hardening::{Confined, hardening};
use crate::plan::{Probe, TASKS};
use crate::planner::limits;
use crate::planner::runtime::Recipe;
use crate::planner::runtime::container::Container;

/// Chosen for each container, by no name.
pub const DOCKER: Supervisor =
    Supervisor { name: SupervisorName::Systemd, evidence: &[], starts: |_, _| false, refuse, supervise };

/// The network of all services' containers, and its bridge. Not docker's default one: rules for it hold for builds, and for
/// containers of the operator.
pub const NETWORK: &str = "bootagent";
pub const BRIDGE: &str = "bootagent0";
/// This bridge, and those of compose's networks.
const BRIDGES: &str = "bootagent+";

/// The client's configuration: the operator's, for example with proxies for all containers. It need not exist. Without
/// this option, a variable of the service could name another directory, and with it programs that the client runs.
const CONFIG: &str = "/etc/bootagent/docker";
const SOCKET: &str = "unix:///run/docker.sock";

/// Variables of the client. A service's value would change what the client does, and not what the container does.
const OF_THE_CLIENT: &str = "DOCKER_";

/// Seconds that the container has to end, less than the unit.
const GRACE: &str = "25";

/// Capabilities that docker gives to every container, and that no service needs which its image starts as root: such an
/// entry point changes owners and becomes another user.
pub(super) const DROPPED: [&str; 7] =
    ["AUDIT_WRITE", "FSETID", "MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT"];

fn invalid(cause: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, "planning how the container runs", cause.into())
}

fn refuse(_: &Source, manifest: &Manifest, _: &Recipe) -> Result<()> {
    const OTHERS: [(&str, &str); 5] = [
        ("directory", "name the file with [docker] dockerfile = \"...\""),
        ("processes", "deploy each program as a service of its own"),
        ("timers", "let the program in the container keep its own times"),
        ("volume", "use [docker] volumes"),
        ("env.files", "the container gets variables only"),
    ];
    refuse_keys(manifest, &OTHERS)
}

/// Refuses what of a manifest is for programs of a release. `others` are such keys, with a remedy for each.
pub(super) fn refuse_keys(manifest: &Manifest, others: &[(&str, &str)]) -> Result<()> {
    if manifest.supervisor() != SupervisorName::Systemd {
        return Err(invalid(
            "supervisor = \"pm2\" runs programs of a release, and this service runs a container",
        )
        .remedy("remove supervisor and [pm2] from bootagent.toml; or choose another runtime"));
    }
    let is_set = |key: &str| match key {
        "directory" => manifest.directory.is_some(),
        "processes" => !manifest.processes.is_empty(),
        "timers" => !manifest.timers.is_empty(),
        "volume" => manifest.volume.is_some(),
        _ => !manifest.env.files.is_empty(),
    };
    if let Some((key, remedy)) = others.iter().find(|(key, _)| is_set(key)) {
        let cause = format!("{key} is for programs of a release, and this service runs a container");
        return Err(invalid(cause).remedy(format!("remove {key} from bootagent.toml; {remedy}")));
    }
    if manifest.candidate_port.is_some() {
        return Err(invalid("a container has no candidate (rehearsal.port)")
            .remedy("remove rehearsal from bootagent.toml"));
    }
    Ok(())
}

fn supervise(app: &App) -> Result<Service> {
    let Some(container) = app.recipe.container() else {
        return Err(Error::new(Code::Bug, "planning how the container runs", "it is not a container"));
    };
    if let Some(name) = app.variables.keys().find(|name| name.starts_with(OF_THE_CLIENT)) {
        let cause = format!("{name} changes what docker's client does");
        return Err(Error::new(Code::SecretKeyRefused, "planning the container's variables", cause)
            .remedy("rename the variable: a container cannot get one whose name begins with DOCKER_"));
    }
    let published = published(app)?;
    let inner = container.port.or(published);
    let name = app.layout.container();
    let probe = Probe::Container {
        docker: container.docker.clone(),
        name,
        port: inner.filter(|_| published.is_some()),
        must_be_healthy: false,
    };
    let unit = unit(app, container, published.zip(inner));
    Ok(Service {
        runs_by: Supervised::by_unit(unit),
        probes: vec![probe],
        notes: notes(app, container, published.is_some()),
        ..Service::default()
    })
}

/// The port of the machine.
fn published(app: &App) -> Result<Option<u16>> {
    let Some(port) = app.variables.get("PORT") else { return Ok(None) };
    let port = port.expose().trim().parse().ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| {
        invalid("PORT is not a number from 1 to 65535")
            .remedy("correct PORT in the secret, or port in bootagent.toml")
    });
    port.map(Some)
}

fn notes(app: &App, container: &Container, is_published: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if container.is_read_only {
        let writable = ["/tmp", "/run"].into_iter().chain(container.writable.iter().map(String::as_str));
        let volumes = container.volumes.iter().map(|volume| volume.path.as_str());
        notes.push(format!(
            "the container may write to {}; the rest of its image is read-only ([docker] with writable, volumes or \
             read_only = false changes that)",
            writable.chain(volumes).collect::<Vec<_>>().join(", ")
        ));
    }
    if !is_published {
        notes.push("no port is known, so none is published: set port in bootagent.toml".to_owned());
    }
    notes.extend(imds_notes(app.wanted.selection));
    notes
}

pub(super) fn imds_notes(selection: &Selection) -> Option<String> {
    let note = match (selection.service_may_use_imds, selection.imds_users.is_some()) {
        (false, _) => return None,
        (true, true) => {
            "imds.users of the policy: its rules reject what containers send to instance metadata"
        }
        (true, false) => {
            "a container reaches instance metadata, and with it the role, only if the instance's \
             HttpPutResponseHopLimit is 2 or more"
        }
    };
    Some(note.to_owned())
}

pub(super) fn client(docker: &Path, words: &[&str]) -> Vec<String> {
    let program = docker.display().to_string();
    let options = ["--config", CONFIG, "--host", SOCKET].map(str::to_owned);
    std::iter::once(program).chain(options).chain(words.iter().map(|word| (*word).to_owned())).collect()
}

/// The image and its command.
fn program(app: &App, container: &Container) -> Vec<String> {
    std::iter::once(app.layout.image(app.release)).chain(container.command.iter().cloned()).collect()
}

/// The command up to the container's last option.
fn options(app: &App, container: &Container, ports: Option<(u16, u16)>) -> Vec<String> {
    let name = app.layout.container();
    let mut words: Vec<String> =
        client(&container.docker, &["run", "--name", &name, "--rm", "--init", "--pull", "never"]);
    let mut add = |word: &str, value: String| words.extend([word.to_owned(), value]);
    add("--hostname", app.layout.service().to_string());
    add("--network", NETWORK.to_owned());
    // The client writes what the container prints, and so the journal has it: a second copy is not needed.
    add("--log-driver", "none".to_owned());
    add("--stop-timeout", GRACE.to_owned());
    add("--security-opt", "no-new-privileges".to_owned());
    // Those of the unit bound docker's client alone.
    let limits = limits::of_service(app.wanted);
    add("--pids-limit", limits.tasks.unwrap_or(TASKS).to_string());
    add("--ulimit", "core=0".to_owned());
    if let Some(files) = limits.open_files {
        add("--ulimit", format!("nofile={files}"));
    }
    if let Some(memory) = &limits.memory {
        add("--memory", memory.to_string().to_lowercase());
    }
    match container.user.as_deref().filter(|user| !is_root(user)) {
        Some(_) => add("--cap-drop", "ALL".to_owned()),
        None => DROPPED.iter().for_each(|capability| add("--cap-drop", (*capability).to_owned())),
    }
    if let Some(user) = &container.user {
        add("--user", user.clone());
    }
    if container.is_read_only {
        words.push("--read-only".to_owned());
        let directories = ["/tmp", "/run"].into_iter().chain(container.writable.iter().map(String::as_str));
        for directory in directories {
            words.extend(["--tmpfs".to_owned(), format!("{directory}:exec,mode=1777")]);
        }
    }
    let mut add = |word: &str, value: String| words.extend([word.to_owned(), value]);
    for volume in &container.volumes {
        let source = app.layout.volumes().join(&volume.name);
        add("--mount", format!("type=bind,source={},target={}", source.display(), volume.path));
    }
    if let Some((published, inner)) = ports {
        add("--publish", format!("{published}:{inner}"));
    }
    for name in app.variables.keys().filter(|name| container.login.as_deref() != Some(name)) {
        match ports.filter(|_| name == "PORT") {
            // The program listens on the container's port, which may be another one than that of the machine.
            Some((_, inner)) => add("--env", format!("PORT={inner}")),
            // By name only: the client takes the value from its own environment, exactly.
            None => add("--env", name.to_owned()),
        }
    }
    words
}

fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), Some("root" | "0"))
}

fn unit(app: &App, container: &Container, ports: Option<(u16, u16)>) -> String {
    let App { wanted, layout, .. } = app;
    let name = layout.container();
    let remove = quietly("", &client(&container.docker, &["rm", "--force", &name]));
    let stop = quietly("", &client(&container.docker, &["stop", "--time", GRACE, &name]));
    let mut unit = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        unit,
        "# Written by bootagent; do not edit: each run replaces this file. Use systemctl edit
[Unit]
Description={service} ({environment})
Wants=network-online.target docker.service
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
Type=exec
Environment=PATH=/usr/local/bin:/usr/bin:/bin
EnvironmentFile={variables}
{imds}ExecStartPre=-{remove}
ExecStart={start}
{restarts}ExecStop=-{stop}
ExecStopPost=-{remove}
KillMode=mixed
TimeoutStopSec=30
SyslogIdentifier={service}
",
        service = layout.service(),
        environment = wanted.selection.environment,
        variables = layout.environment().display(),
        imds = imds_rule(wanted.selection.service_may_use_imds),
        start = folded(&options(app, container, ports), &program(app, container)),
        restarts = restarts(wanted.facts.machine.systemd),
    );
    for line in hardening(Confined::Service) {
        let _ = writeln!(unit, "{line}");
    }
    unit
}

/// The options with a line for each, so that people can read them, and then the rest.
pub(super) fn folded(options: &[String], rest: &[String]) -> String {
    const FOLD: &str = " \\\n    ";
    let mut text = String::new();
    for word in options {
        text.push_str(match (text.is_empty(), word.starts_with("--")) {
            (true, _) => "",
            (false, true) => FOLD,
            (false, false) => " ",
        });
        text.push_str(&line(std::slice::from_ref(word)));
    }
    text + FOLD + &line(rest)
}

/// Without its output: the journal is the container's, and its last line is often the reason of an exit.
/// `first`: what the shell does before.
pub(super) fn quietly(first: &str, argv: &[String]) -> String {
    // The words have nothing that a shell or systemd would change.
    format!("/bin/sh -c \"{first}exec {} >/dev/null 2>&1\"", line(argv))
}

/// Root's command before each start, with `+`, because the unit's own programs may not change rules. If the policy denies
/// IMDS, the bridge's packets to it are dropped, and the service does not start without that rule; if not, a rule of an
/// earlier policy is removed.
///
/// One rule for all bridges of services, so that it goes with the service that had it, whatever runs next.
pub(super) fn imds_rule(may_use_imds: bool) -> String {
    let rule = format!("DOCKER-USER -i {BRIDGES} -d 169.254.169.254/32 -j DROP");
    // Root runs this in the unit, which has the service's variables: XTABLES_LIBDIR would name the code that it loads.
    let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    let (prefix, command) = match may_use_imds {
        true => ("-+", format!("iptables -w -D {rule} 2>/dev/null")),
        false => ("+", format!("iptables -w -C {rule} 2>/dev/null || iptables -w -I {rule}")),
    };
    format!("ExecStartPre={prefix}/usr/bin/env -i {path} /bin/sh -c \"{}\"\n", escape(&command))
}
