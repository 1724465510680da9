//! The units that run beside the service's own: one for each process of the manifest. They belong to the deployment: they
//! have its release, user, environment and hardening, start with the service's unit and stop with it. Pure.
//!
//! A crash of one does not restart the others, so the units are tied by `Wants=` and `StopPropagatedFrom=`, and not by
//! `PartOf=`, which would also pass on systemd's own restarts.

use std::fmt::Write;

use super::systemd::{self, Beside};
use super::{App, Service};
use crate::error::{Error, Result};
use crate::facts::ServiceFile;
use crate::plan::{Probe, layout};
use crate::planner::digest::digest;
use crate::planner::runtime::{self, Start};

/// The units' files.
pub fn files(app: &App) -> Result<Vec<ServiceFile>> {
    let mut files = Vec::new();
    for (name, process) in &app.wanted.manifest.processes {
        let start = runtime::start_line(&process.start).map_err(|error| of_process(error, name))?;
        let unit = app.layout.process_unit(name, "service");
        let text = systemd::beside(app, &Beside { name, argv: argv(&start), is_wrapped: start.is_wrapped });
        files.push(ServiceFile {
            name: format!("process-{name}"),
            why: format!("how systemd runs the process {name}"),
            path: layout::unit_file(&unit),
            text,
        });
    }
    Ok(files)
}

/// Adds the units to a deployment, and to its health check that they run.
pub fn add(app: &App, service: &mut Service) -> Result<()> {
    for file in files(app)? {
        if let Some(unit) = file.unit() {
            service.probes.push(Probe::Unit { unit: unit.to_owned() });
        }
        service.runs_by.files.push(file);
    }
    Ok(())
}

/// Lines of the service's own unit. The digest changes the unit when another one changes, so that systemd reads all of
/// them anew, and the start step starts all of them anew.
pub fn lines(app: &App) -> Result<String> {
    let files = files(app)?;
    let mut lines = String::new();
    for unit in files.iter().filter_map(ServiceFile::unit) {
        let _ = writeln!(lines, "Wants={unit}");
    }
    if !files.is_empty() {
        let _ =
            writeln!(lines, "# The units beside it: {}", digest(files.iter().map(|file| file.text.as_str())));
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
