//! The unit of a service that runs as containers of a compose file: what docker compose is called with. Pure.

use std::borrow::Cow;
use std::fmt::Write;

use super::App;
use super::docker::{client, folded, imds_rule, quietly};
use super::restarts::restarts;
use super::unit_syntax::line;
use crate::plan::hardening::{Confined, hardening};
use crate::planner::runtime::compose::project::Project;

/// Seconds for the commands of a stop besides the containers' own time.
const SLACK: u64 = 15;

/// Variables by which compose itself, a program in Go that sends traces, would be configured. Services have them, too: compose
/// gets them under another name.
const OF_A_PROGRAM: [&str; 6] = ["GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "OTEL_*"];

/// The name that a variable of the service has in the environment of compose.
pub fn known_as(name: &str) -> Cow<'_, str> {
    let fits = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *pattern,
    };
    match OF_A_PROGRAM.iter().any(fits) {
        true => Cow::Owned(format!("_bootagent_{name}")),
        false => Cow::Borrowed(name),
    }
}

pub fn unit(app: &App, project: &Project) -> String {
    let App { wanted, layout, .. } = app;
    let name = layout.container();
    let compose = |words: &[&str]| {
        let options = ["compose", "--ansi", "never", "--project-name", &name];
        client(&project.docker, &[&options, words].concat())
    };
    let renamed = renamed(app);
    let quietly = |words: &[&str]| quietly(&forgetting(&renamed), &compose(words));
    // Without the file, which may be another release's by then: compose knows its containers by their labels.
    let stop = quietly(&["stop"]);
    let remove = quietly(&["rm", "--force", "--stop", "--volumes"]);
    let down = quietly(&["down", "--remove-orphans"]);
    let (file, home) = (layout.compose_file().display().to_string(), layout.home().display().to_string());
    let options = compose(&[
        "--progress",
        "quiet",
        "--env-file",
        "/dev/null",
        "--project-directory",
        &home,
        "--file",
        &file,
    ]);
    let start = start(&options, project, &renamed);
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
{imds}ExecStartPre=-{down}
ExecStart={start}
{restarts}ExecStop=-{stop}
ExecStopPost=-{remove}
ExecStopPost=-{down}
KillMode=mixed
# As compose ends after SIGTERM.
SuccessExitStatus=130 143
TimeoutStopSec={patience}
SyslogIdentifier={service}
",
        service = layout.service(),
        environment = wanted.selection.environment,
        variables = layout.environment().display(),
        imds = imds_rule(wanted.selection.service_may_use_imds),
        restarts = restarts(wanted.facts.machine.systemd),
        patience = project.longest_stop() + SLACK,
    );
    for line in hardening(Confined::Service) {
        let _ = writeln!(unit, "{line}");
    }
    unit
}

/// The service's variables that have another name in the environment of compose.
fn renamed<'a>(app: &'a App) -> Vec<&'a str> {
    app.variables.keys().filter(|name| known_as(name) != *name).collect()
}

fn forgetting(renamed: &[&str]) -> String {
    match renamed {
        [] => String::new(),
        names => format!("unset {}; ", names.join(" ")),
    }
}

/// The containers that end, one after the other, and then all others. A shell is there only if it has something to do.
fn start(options: &[String], project: &Project, renamed: &[&str]) -> String {
    let mut up =
        vec!["up", "--abort-on-container-exit", "--force-recreate", "--no-build", "--remove-orphans"];
    if project.once.is_empty() && renamed.is_empty() {
        return folded(options, &up.into_iter().map(str::to_owned).collect::<Vec<_>>());
    }
    if !project.once.is_empty() {
        // What the first ones needed runs already, and stays.
        up.retain(|word| *word != "--force-recreate");
    }
    let command = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned());
        line(&options.iter().cloned().chain(words).collect::<Vec<_>>())
    };
    let mut shell = String::new();
    for name in renamed {
        let known = known_as(name);
        let _ = write!(shell, "{known}=$${name}; export {known}; ");
    }
    shell.push_str(&forgetting(renamed));
    for name in &project.once {
        let _ = write!(shell, "{} && ", command(&["run", "--rm", "--no-TTY", name]));
    }
    let _ = write!(shell, "exec {}", command(&up));
    format!("/bin/sh -c \"{shell}\"")
}
