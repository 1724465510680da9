//! What must be true before the service counts as in service.

use crate::error::{Code, Error, Result};
use crate::observe::manifest::{Manifest, RESERVED_PORT};
use crate::observe::secrets::Variables;
use crate::plan::layout::Layout;
use crate::plan::{Action, Gate, Probe, Seconds};

use super::steps::{Added, Steps};

/// The manifest's path, else the port, else: alive without a restart. The port is the one that the
/// service is told: the manifest's is only the first word on it.
pub fn gate(
    manifest: &Manifest,
    variables: &Variables,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<Gate> {
    let told = variables.get("PORT").map(|port| port.expose().parse().ok().filter(|port| *port != 0));
    if told == Some(None) {
        notes.push("PORT is not a number from 1 to 65535: health is not asked for on a port".to_owned());
    }
    let port = told.flatten();
    if port.is_some_and(|port: u16| port < 1024) {
        let cause = format!("PORT is below 1024, and {RESERVED_PORT}");
        return Err(Error::new(Code::ManifestInvalid, "planning the health gate", cause)
            .remedy("correct PORT where it is set: the secret, env.values, or the start command"));
    }
    if let Some(said) = manifest.port.filter(|said| Some(*said) != port) {
        notes.push(format!("port = {said} is not what counts: the service is told another PORT"));
    }
    let probe = match (port, &manifest.health.path) {
        (Some(port), Some(path)) => {
            Probe::Http { port, path: path.clone(), statuses: manifest.health.status.clone() }
        }
        (Some(port), None) => Probe::Tcp { port },
        (None, None) => Probe::Alive,
        (None, Some(path)) => {
            let cause = match told {
                Some(_) => format!("PORT is not a number, so nobody knows where the service answers {path}"),
                None => format!("nobody says on which port the service answers {path}"),
            };
            return Err(Error::new(Code::ManifestInvalid, "planning the health gate", cause).remedy(
                "add port = 3000 (or where the service listens) to bootagent.toml, or PORT to the secret",
            ));
        }
    };
    Ok(Gate {
        unit: layout.unit(),
        probe,
        within: manifest.health.timeout,
        soak: manifest.health.soak,
        interval_ms: 500,
    })
}

/// The gate's own deadline ends it with what it saw; the step's is only for a gate that hangs.
pub fn await_gate<'a>(steps: &'a mut Steps, id: &str, why: &str, gate: &Gate) -> Added<'a> {
    let mut step = steps.add(id, why, Action::AwaitHealth(gate.clone()));
    step.lasting(Seconds(gate.within.0 + gate.soak.0 + 10));
    step
}
