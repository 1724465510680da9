//! What runs the containers of a compose file: `docker compose up` in the foreground, in the service's unit. The containers
//! are one service: when one ends, compose stops the others, and systemd starts all of them again. Docker restarts none, so
//! that a container that crashes again and again is seen by the health check, by `bootagent status` and by systemd.

use super::compose_unit::unit;
use super::docker::{imds_notes, refuse_keys};
use super::{App, Service, Supervisor, compose_file};
use crate::error::{Code, Error, Result};
use crate::facts::{ServiceFile, Source, Supervised};
use crate::observe::manifest::{Manifest, SupervisorName};
use crate::plan::{Limits, Probe};
use crate::planner::runtime::Recipe;
use crate::planner::runtime::compose::project::{Port, Project};
use crate::secret::Secret;

/// Chosen for each compose file, by no name.
pub const COMPOSE: Supervisor =
    Supervisor { name: SupervisorName::Systemd, evidence: &[], starts: |_, _| false, refuse, supervise };

/// Variables of docker's client and its plugins. A service's value would change what they do.
const OF_THE_CLIENT: [&str; 4] = ["BUILDKIT_", "BUILDX_", "COMPOSE_", "DOCKER_"];

fn refuse(_: &Source, manifest: &Manifest, _: &Recipe) -> Result<()> {
    const OTHERS: [(&str, &str); 5] = [
        ("directory", "name the file with [compose] file = \"...\""),
        ("processes", "add each program to the compose file"),
        ("timers", "let a program of the compose file keep its own times"),
        ("volume", "use volumes of the compose file"),
        ("env.files", "containers get variables only"),
    ];
    refuse_keys(manifest, &OTHERS)?;
    match manifest.limits == Limits::default() {
        true => Ok(()),
        false => Err(invalid("limits is for one program, and this service runs containers").remedy(
            "remove limits from bootagent.toml; use mem_limit, pids_limit and ulimits in the compose file",
        )),
    }
}

fn invalid(cause: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, "planning how the containers run", cause.into())
}

fn supervise(app: &App) -> Result<Service> {
    let Some(project) = app.recipe.project() else {
        return Err(Error::new(Code::Bug, "planning how the containers run", "it has no compose file"));
    };
    refuse_variables(app, project)?;
    let port = app.port();
    let serving = serving(app, project, port)?;
    let file = ServiceFile {
        name: "compose-file".to_owned(),
        why: "what docker compose runs, written from the repository's file".to_owned(),
        path: app.layout.compose_file(),
        text: compose_file::text(app, project, port)?,
    };
    let name = app.layout.container();
    let probes = project.lasting().map(|(member, about)| Probe::Container {
        docker: project.docker.clone(),
        name: format!("{name}-{member}-1"),
        port: serving.filter(|(serving, _)| serving == member).map(|(_, inner)| inner),
        must_be_healthy: about.is_checked(),
    });
    // The one that serves first: its error is the better one.
    let mut probes: Vec<Probe> = probes.collect();
    probes.sort_by_key(|probe| !matches!(probe, Probe::Container { port: Some(_), .. }));
    let runs_by = Supervised { files: vec![file], ..Supervised::by_unit(unit(app, project)) };
    Ok(Service { runs_by, probes, notes: notes(app, project, port), ..Service::default() })
}

/// Variables that would change what docker's client does, and those with which the file was not read.
fn refuse_variables(app: &App, project: &Project) -> Result<()> {
    let refused =
        |cause: String| Error::new(Code::SecretKeyRefused, "planning the containers' variables", cause);
    let is_of_the_client = |name: &&str| OF_THE_CLIENT.iter().any(|prefix| name.starts_with(prefix));
    if let Some(name) = app.variables.keys().find(is_of_the_client) {
        return Err(refused(format!("{name} changes what docker's client does")).remedy(format!(
            "rename the variable: containers cannot get one whose name begins with {}",
            OF_THE_CLIENT.join(", ")
        )));
    }
    for (name, value) in &project.read_with {
        let now = app.variables.get(name).map(Secret::expose);
        let default = app.recipe.defaults.get(name).map(String::as_str);
        if now != value.as_deref() && (value.is_some() || now != default) {
            let cause = format!("{name} decides what {} runs, and the secret sets it", project.file);
            return Err(refused(cause).remedy(format!(
                "set {name} in env.values of bootagent.toml and remove it from the secret; in environment of the compose file a secret's value may stand"
            )));
        }
    }
    Ok(())
}

/// The container that publishes the service's port, and the port in it.
fn serving<'a>(app: &App, project: &'a Project, port: Option<u16>) -> Result<Option<(&'a str, u16)>> {
    let listed = |ports: Vec<u16>| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let all: Vec<u16> = project.published().map(|(port, ..)| port).collect();
    if let Some(low) =
        project.also_published.iter().find(|port| !app.wanted.selection.low_ports.allow(**port))
    {
        return Err(invalid(format!(
            "compose.ports has {low}, and the policy does not allow this port below 1024"
        ))
        .remedy("choose a port from 1024 on, or let the machine's owner allow it: low_ports in the policy"));
    }
    refuse_ports(project, port)?;
    match (port, project.published().find(|(published, ..)| Some(*published) == port)) {
        (_, Some((_, name, found))) => Ok(Some((name, found.inner))),
        (None, None) if all.is_empty() => Ok(None),
        (None, None) => Err(invalid(format!("{} publishes the ports {}", project.file, listed(all)))
            .remedy("say which one is the service's: port = ... in bootagent.toml")),
        (Some(port), None) => {
            let published = match all.is_empty() {
                true => "no port".to_owned(),
                false => listed(all),
            };
            Err(invalid(format!("the service's port is {port}, and {} publishes {published}", project.file)).remedy(
                format!("publish it in the container that serves: ports: [\"{port}:8080\"], or correct port in bootagent.toml"),
            ))
        }
    }
}

/// Fails if a listed port is of no container, or if two containers want the same one.
fn refuse_ports(project: &Project, port: Option<u16>) -> Result<()> {
    if let Some(none) =
        project.also_published.iter().find(|port| !project.ports().any(|(published, ..)| published == **port))
    {
        let cause = format!("compose.ports has {none}, and no container of {} publishes it", project.file);
        return Err(invalid(cause).remedy(format!(
            "add it to ports of the container that serves it, like \"{none}:8080\"; or remove it from compose.ports"
        )));
    }
    let is_given = |published: u16, is_udp: bool| {
        project.also_published.contains(&published) || (Some(published) == port && !is_udp)
    };
    let all: Vec<_> = project.ports().filter(|(published, _, of)| is_given(*published, of.is_udp)).collect();
    let is_all = |port: &Port| {
        port.address.as_ref().is_none_or(|at| ["0.0.0.0", "::"].contains(&at.to_string().as_str()))
    };
    for (index, (published, name, of)) in all.iter().enumerate() {
        let is_same = |(other, _, also): &&(u16, &str, &Port)| {
            other == published
                && also.is_udp == of.is_udp
                && (also.address == of.address || is_all(also) || is_all(of))
        };
        if let Some((_, other, _)) = all[index + 1..].iter().find(is_same) {
            let cause = format!("{name} and {other} of {} both publish {published}", project.file);
            return Err(Error::new(Code::ComposeInvalid, "planning how the containers run", cause)
                .remedy("let one of them publish it, or give each a port of its own"));
        }
    }
    Ok(())
}

fn notes(app: &App, project: &Project, port: Option<u16>) -> Vec<String> {
    let left = project
        .published()
        .filter(|(published, ..)| Some(*published) != port && !project.also_published.contains(published));
    let left: Vec<String> = left.map(|(published, name, _)| format!("{published} of {name}")).collect();
    let mut notes = Vec::new();
    if !left.is_empty() {
        notes.push(format!(
            "not published: {}; other containers reach it by its name ([compose] ports publishes more)",
            left.join(", ")
        ));
    }
    if port.is_none() {
        notes.push("no port is published, so none is checked: set port in bootagent.toml".to_owned());
    }
    notes.extend(imds_notes(app.wanted.selection));
    notes
}
