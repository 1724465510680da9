//! The units that run beside the service's own: one for each process of the manifest, and two for each timer. They belong to the deployment: they
//! have its release, user, environment and hardening, start with the service's unit and stop with it. Pure.
//!
//! A crash of one does not restart the others, so the units are tied by `Wants=` and `StopPropagatedFrom=`, and not by
//! `PartOf=`, which would also pass on systemd's own restarts.

use std::fmt::Write;

use super::service_unit::{self, Beside};
use super::{App, Service};
use crate::error::{Error, Result};
use crate::facts::{ServiceFile, Supervised};
use crate::plan::{Probe, layout};
use crate::planner::digest::digest;
use crate::planner::runtime::{self, Start};

/// The units' files.
pub fn files(app: &App) -> Result<Vec<ServiceFile>> {
    let mut files = Vec::new();
    for (name, process) in &app.wanted.manifest.processes {
        let start = runtime::start_line(&process.start).map_err(|error| of_process(error, name))?;
        for number in 1..=process.units() {
            let unit = if process.units() == 1 { name.clone() } else { format!("{name}@{number}") };
            let instance = process.instances.map(|_| number);
            let (name, argv, is_wrapped) = (unit.as_str(), argv(&start), start.is_wrapped);
            let beside = Beside { name, argv, is_wrapped, timeout: None, instance, limits: &process.limits };
            let why = format!("how systemd runs the process {name}");
            let text = service_unit::beside(app, &beside);
            files.push(file(app, name, "service", (&format!("process-{name}"), why, text)));
        }
    }
    for (name, timer) in &app.wanted.manifest.timers {
        let start = runtime::start_line(&timer.command).map_err(|error| of_timer(error, name))?;
        let (timeout, argv, is_wrapped) = (Some(timer.timeout), argv(&start), start.is_wrapped);
        let job = Beside { name, argv, is_wrapped, timeout, instance: None, limits: &timer.limits };
        let why = format!("what the timer {name} runs");
        let text = service_unit::beside(app, &job);
        files.push(file(app, name, "service", (&format!("job-{name}"), why, text)));
        let (why, text) = ("when it runs".to_owned(), service_unit::timer(app, name, &timer.schedule));
        files.push(file(app, name, "timer", (&format!("timer-{name}"), why, text)));
    }
    Ok(files)
}

fn file(app: &App, name: &str, kind: &str, (step, why, text): (&str, String, String)) -> ServiceFile {
    let path = layout::unit_file(&app.layout.process_unit(name, kind));
    ServiceFile { name: step.to_owned(), why, path, text }
}

fn of_timer(error: Error, name: &str) -> Error {
    error.because(format!("it is the command of timers.{name} in bootagent.toml"))
}

/// Adds the units to a deployment, and to its health check that they run.
pub fn add(app: &App, service: &mut Service) -> Result<()> {
    let all = files(app)?;
    service.runs_by.files.extend(all);
    // A timer that fails is shown by the status; the service serves without it.
    let running = service.runs_by.started_beside().filter(|unit| unit.ends_with(".service"));
    let probes: Vec<Probe> = running.map(|unit| Probe::Unit { unit: unit.to_owned() }).collect();
    service.probes.extend(probes);
    Ok(())
}

/// Lines of the service's own unit. The digest changes the unit when another one changes, so that systemd reads all of
/// them anew, and the start step starts all of them anew.
pub fn lines(app: &App) -> Result<String> {
    let all = Supervised { files: files(app)?, ..Supervised::default() };
    let mut lines = String::new();
    for unit in all.started_beside() {
        let _ = writeln!(lines, "Wants={unit}");
    }
    if !all.files.is_empty() {
        let digest = digest(all.files.iter().map(|file| file.text.as_str()));
        let _ = writeln!(lines, "# The units beside it: {digest}");
    }
    Ok(lines)
}

/// The service's own environment overrides `Environment=`, so that the line's assignments need env(1).
fn argv(start: &Start) -> Vec<String> {
    if start.environment.is_empty() {
        return start.argv.clone();
    }
    let assignments = start.environment.iter().map(|(name, value)| format!("{name}={value}"));
    std::iter::once("/usr/bin/env".to_owned()).chain(assignments).chain(start.argv.iter().cloned()).collect()
}

fn of_process(error: Error, name: &str) -> Error {
    error.because(format!("it is the start of processes.{name} in bootagent.toml"))
}
