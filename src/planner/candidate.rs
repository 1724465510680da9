//! Steps of a candidate: the new release is started on another port (`rehearsal.port`) while the previous deployment
//! serves. If it does not start or is not healthy, the run fails without an interruption of the service.

use std::collections::BTreeSet;

use super::accounts::persistent;
use super::compared::another;
use super::draft::Draft;
use super::runtime::Start;
use super::steps::{Added, Steps};
use super::supervisor::service_unit;
use super::volume::place;
use super::{before_serving, environment, health, limits};
use crate::error::{Code, Error, Result};
use crate::fault::Phase;
use crate::plan::environment::{EnvCopy, MADE, SERVICE};
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning, Gate, Mark, Owner, Seconds, StepId};
use crate::secret::Secret;

/// The candidate's port, if the manifest asks for a candidate and another deployment serves.
pub fn due(draft: &Draft) -> Option<u16> {
    let wanted = draft.wanted;
    let serves = another(draft).is_some() && wanted.facts.active.contains(&wanted.selection.service);
    wanted.manifest.candidate_port.filter(|_| serves)
}

/// Adds the steps that start the candidate, await its health, and remove it.
pub fn prove(steps: &mut Steps, draft: &Draft, port: u16) -> Result<()> {
    let Draft { wanted, recipe, layout, .. } = draft;
    let mut variables = draft.variables.clone();
    variables.insert("PORT", Secret::new(port.to_string()));
    // The notes are dropped: the plan has the same ones for the service.
    let unit = layout.transient("candidate");
    let gate = health::gate(wanted, &variables, recipe, layout, &mut Vec::new())?;
    let gate = Gate { unit: unit.clone(), ..gate };
    let rendering = environment::render(wanted, recipe, &variables, layout, &mut Vec::new())?;

    let why = "the candidate's environment, while it runs";
    let persistent = persistent(wanted.manifest, &draft.recipe).map(|(id, _)| StepId::new(id)).collect();
    let prepared = before_serving(steps);
    steps
        .directory("candidate", why, layout.candidate(), Owner::root(), 0o700)
        .after(&[prepared, "run", "data"])
        .needing(persistent);
    let written = environment::write(steps, &environment::CANDIDATE, &rendering, &["candidate"], layout);
    let ready: Vec<&str> = written.iter().map(String::as_str).chain(["candidate-reload"]).collect();

    // systemd stops the candidate after this time, in case the run is killed before it can.
    let check = gate.within.0 + gate.good_for(false).0;
    // It answers for the service, too, until that passed its own check.
    let checks = if answers_for_the_service(draft) { 2 * check } else { check };
    let made: Vec<_> = MADE.into_iter().filter(|file| rendering.text(file).is_some()).collect();
    let candidate = service_unit::Candidate {
        most: Seconds(checks + 60),
        port,
        volume: place::path(wanted.manifest, layout),
        made: &made,
        limits: limits::of_service(wanted),
    };
    let text = service_unit::candidate(wanted.selection, recipe, draft.release(), candidate, layout);
    let why = "the unit that runs the new release beside the serving deployment";
    let path = layout.candidate_unit_file();
    steps.file("candidate-unit", why, path.clone(), text, 0o644).after(&["candidate"]);
    steps
        .add("candidate-reload", "systemd reads the unit", Action::ReloadUnit { unit: unit.clone() })
        .after(&["candidate-unit"])
        .within(Phase::Reload);
    let ensure = EnsureRunning {
        unit,
        inputs: vec![path, layout.env_file(EnvCopy::Candidate, &SERVICE)],
        reloads: Vec::new(),
        beside: Vec::new(),
        record: layout.candidate().join("handover"),
    };
    steps
        .add("candidate-start", "the previous deployment serves meanwhile", Action::EnsureRunning(ensure))
        .after(&ready)
        .within(Phase::Start)
        .marks(Mark::Candidate);
    let why = "if it fails here, the previous deployment still serves";
    health::await_gate(steps, "candidate-health-check", why, &gate, BTreeSet::new())
        .after(&["candidate-start"]);
    if !answers_for_the_service(draft) {
        end(steps, "candidate-end", layout).after(&["candidate-health-check"]);
    }
    Ok(())
}

/// Whether the candidate stays until the service is healthy: a proxy passes requests to it while the service is restarted.
pub fn answers_for_the_service(draft: &Draft) -> bool {
    !draft.generation.runs_by.beside.is_empty()
}

/// Adds the step that removes the candidate: at its end, and in the recovery of a failed run.
pub fn end<'a>(steps: &'a mut Steps, id: &str, layout: &Layout) -> Added<'a> {
    let stop =
        Action::StopUnit { unit: layout.transient("candidate"), scratch: layout.candidate_paths().into() };
    let mut step = steps.add(id, "removes the candidate", stop);
    step.within(Phase::Tidy);
    step
}

/// Refuses a candidate that would listen on the service's port, where its start fails or takes over requests: it
/// must get its port from PORT only, and another one.
pub fn refuse(candidate: Option<u16>, port: Option<u16>, start: &Start) -> Result<()> {
    let (Some(candidate), Some(port)) = (candidate, port) else { return Ok(()) };
    let refused = |cause: String| Err(Error::new(Code::ManifestInvalid, "planning the candidate", cause));
    if candidate == port {
        return refused(format!("rehearsal.port is {port}, and so is the service's PORT"));
    }
    match names_port(&start.argv, port) {
        true => refused(format!("the start command names port {port} itself")),
        false => Ok(()),
    }
}

/// Whether a command line sets this port, as in `--port 3000`, `--port=3000`, `PORT=3000`, `-p 3000`, `-p3000` and
/// `0.0.0.0:3000`.
fn names_port(argv: &[String], port: u16) -> bool {
    let port = port.to_string();
    let mut before = "";
    argv.iter().flat_map(|word| word.split_whitespace()).any(|word| {
        let flag = std::mem::replace(&mut before, word);
        let named = |name: &str| name == "-p" || name.to_ascii_lowercase().ends_with("port");
        word.strip_suffix(&port).is_some_and(|name| match name {
            "" => flag.starts_with('-') && named(flag),
            _ => name.ends_with(':') || named(name.trim_end_matches('=')),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> bool {
        names_port(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 3000)
            && names_port(&["/bin/sh".into(), "-c".into(), line.into()], 3000)
    }

    #[test]
    fn a_port_in_the_start_command_is_found() {
        for line in [
            "next start -p 3000",
            "next start -p3000",
            "vite --port 3000",
            "x --port=3000 --y",
            "PORT=3000 node x.js | tee log",
            "serve -l tcp://0.0.0.0:3000",
            "x --listen-port=3000",
        ] {
            assert!(names(line), "{line}");
        }
    }

    #[test]
    fn another_number_is_not_taken_for_the_port() {
        for line in [
            "node server.js",
            "node x --max-old-space-size=3000",
            "node x --timeout 3000",
            "next start -p 13000",
            "x --port=30001",
            "x --port=13000",
            "node export 3000",
            "node x3000",
        ] {
            assert!(!names(line), "{line}");
        }
    }
}
