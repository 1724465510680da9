//! A candidate: the wanted generation starts on a port of its own first, while the former one serves.
//! One that breaks at its start or its gate then breaks there, and costs no request.

use std::path::Path;

use super::accounts::persistent;
use super::runtime::{Recipe, Start};
use super::steps::{Added, Steps};
use super::supervisor::systemd;
use super::{Wanted, before_serving, environment, health};
use crate::error::{Code, Error, Result};
use crate::facts::Generation;
use crate::fault::Phase;
use crate::observe::secrets::Variables;
use crate::plan::environment::{EnvCopy, SERVICE};
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning, Gate, Mark, Owner, Seconds, StepId};
use crate::secret::Secret;

/// Whether there is one, and on which port: it is asked for, and another release serves meanwhile.
pub fn due(wanted: &Wanted, former: Option<&Generation>) -> Option<u16> {
    let serves = former.is_some() && wanted.facts.active.contains(&wanted.selection.service);
    wanted.manifest.candidate_port.filter(|_| serves)
}

pub fn prove(
    steps: &mut Steps,
    wanted: &Wanted,
    recipe: &Recipe,
    release: &Path,
    variables: &Variables,
    port: u16,
    layout: &Layout,
) -> Result<()> {
    let mut variables = variables.clone();
    variables.insert("PORT", Secret::new(port.to_string()));
    // What is to be noted is noted of the service itself.
    let unit = layout.transient("candidate");
    let gate = health::gate(wanted.manifest, &variables, layout, &mut Vec::new())?;
    let gate = Gate { unit: unit.clone(), ..gate };
    let rendering = environment::render(wanted, recipe, &variables, layout, &mut Vec::new())?;

    let why = "the candidate's own environment, as long as it runs";
    let persistent = persistent(wanted.manifest).map(|(id, _)| StepId::new(id)).collect();
    let whole = before_serving(steps);
    steps
        .directory("candidate", why, layout.candidate(), Owner::root(), 0o700)
        .after(&[whole, "run", "data"])
        .needing(persistent);
    let written = environment::write(steps, &environment::CANDIDATE, &rendering, &["candidate"], layout);
    let ready: Vec<&str> = written.iter().map(String::as_str).chain(["candidate-reload"]).collect();

    // It ends by itself if the run is gone.
    let most = Seconds(gate.within.0 + gate.soak.0 + 60);
    let text = systemd::candidate(wanted.selection, recipe, release, most, layout);
    let why = "the service's unit, from the new release, beside the one that serves";
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
        record: layout.candidate().join("started-from"),
    };
    steps
        .add("candidate-start", "the previous deployment serves meanwhile", Action::EnsureRunning(ensure))
        .after(&ready)
        .within(Phase::Start)
        .marks(Mark::Candidate);
    let why = "what fails here costs no request";
    health::await_gate(steps, "candidate-health-check", why, &gate).after(&["candidate-start"]);
    end(steps, "candidate-end", layout).after(&["candidate-health-check"]);
    Ok(())
}

pub fn end<'a>(steps: &'a mut Steps, id: &str, layout: &Layout) -> Added<'a> {
    let stop =
        Action::StopUnit { unit: layout.transient("candidate"), scratch: layout.candidate_paths().into() };
    let mut step = steps.add(id, "removes the candidate", stop);
    step.within(Phase::Tidy);
    step
}

/// A service that is told its port in another way than by PORT would listen there as a candidate, too.
pub fn refuse(candidate: Option<u16>, port: Option<u16>, start: &Start) -> Result<()> {
    let (Some(candidate), Some(port)) = (candidate, port) else { return Ok(()) };
    let refused = |cause: String| Err(Error::new(Code::ManifestInvalid, "planning the candidate", cause));
    if candidate == port {
        return refused(format!("the service is told PORT {port}, which is rehearsal.port, too"));
    }
    match names_port(&start.argv, port) {
        true => refused(format!("the start command names port {port} itself")),
        false => Ok(()),
    }
}

/// As in `--port 3000`, `--port=3000`, `PORT=3000`, `-p 3000`, `-p3000` and `0.0.0.0:3000`.
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
    fn a_start_command_that_names_the_port_itself_is_known() {
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
    fn another_number_or_purpose_is_no_port() {
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
