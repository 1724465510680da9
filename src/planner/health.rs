//! What must be true before the service counts as in service, and what an update may not quietly make less of.

use crate::error::{Code, Error, Result};
use crate::facts::Strength;
use crate::observe::manifest::{Manifest, RESERVED_PORT};
use crate::observe::secrets::Variables;
use crate::plan::layout::Layout;
use crate::plan::{Action, Gate, HealthWait, Probe, Seconds};

use super::steps::{Added, Steps};
use super::{Wanted, records};

/// While another deployment can serve instead, a service may fall over a few times; more is a crash loop, and each of
/// its rounds costs requests.
const MOST_RESTARTS: u32 = 3;
/// What listens on other ports for so long has taken a wrong one. A manifest with a `health.timeout` of its own is
/// waited for as long as it says: it may open its metrics first.
const ELSEWHERE: Seconds = Seconds(15);

/// The manifest's path, else the port, else: alive without a restart; or what `health.check` says. The port is the one
/// that the service is told: the manifest's is only the first word on it.
pub fn gate(
    manifest: &Manifest,
    variables: &Variables,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<Gate> {
    // As runtimes read it: a secret's value often ends with a newline.
    let told = variables.get("PORT").map(|port| port.expose().trim().parse().ok().filter(|port| *port != 0));
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
        notes.push(format!("port = {said} has no effect: PORT is set elsewhere"));
    }
    let probe = probe(manifest, port, told.is_some())?;
    if probe == Probe::Alive {
        notes.push(alive_only(manifest.health.check));
    }
    Ok(Gate {
        unit: layout.unit(),
        probe,
        also: Vec::new(),
        within: manifest.health.within(),
        soak: manifest.health.soak,
        interval_ms: 500,
    })
}

fn probe(manifest: &Manifest, port: Option<u16>, is_told: bool) -> Result<Probe> {
    let health = &manifest.health;
    match (port, &health.path, health.check) {
        (_, _, Some(Strength::Process)) => Ok(Probe::Alive),
        (Some(port), Some(path), _) => Ok(Probe::Http {
            port,
            path: path.clone(),
            statuses: health.status.clone(),
            host: health.host.clone(),
            answer: health.answer,
        }),
        (Some(port), None, _) => Ok(Probe::Tcp { port }),
        (None, None, None) => Ok(Probe::Alive),
        (None, path, _) => {
            let what = match path {
                Some(path) => format!("where the service answers {path}"),
                None => "on which port the service listens, as health.check asks for".to_owned(),
            };
            let cause = match is_told {
                true => format!("PORT is not a number, so it is not known {what}"),
                false => format!("neither bootagent.toml nor PORT says {what}"),
            };
            Err(Error::new(Code::ManifestInvalid, "planning the health gate", cause).remedy(
                "add port = 3000 (or where the service listens) to bootagent.toml, or PORT to the secret",
            ))
        }
    }
}

fn alive_only(said: Option<Strength>) -> String {
    let why = match said {
        Some(_) => "as health.check says",
        None => "because no port is known: set port and health in bootagent.toml",
    };
    format!("the health check is only that a process stays alive, {why}; no request is tried")
}

/// Held against the health check of the deployment that passed last on this instance.
pub fn compare_with_good(wanted: &Wanted, gate: &Gate, notes: &mut Vec<String>) -> Result<()> {
    match records::good(wanted) {
        Some(good) => compare(&good.generation.gate, gate, wanted.manifest.health.check, notes),
        None => Ok(()),
    }
}

/// An update must not count as healthy because less is asked of it than of the deployment that serves: a weaker check
/// is refused unless the manifest says in words that it is meant.
fn compare(former: &Gate, gate: &Gate, said: Option<Strength>, notes: &mut Vec<String>) -> Result<()> {
    let (before, now) = (former.probe.strength(), gate.probe.strength());
    if now < before {
        let weaker = format!("{}, and this commit by {}", asks(&former.probe), asks(&gate.probe));
        if said != Some(now) {
            let cause = format!("the previous deployment is checked by {weaker}");
            return Err(Error::new(Code::HealthWeaker, "comparing the health checks", cause).remedy(format!(
                "give bootagent.toml its port and health.path back (or the secret its PORT); if it is meant, say so \
                 there: health.check = \"{}\"; then: bootagent run --update",
                now.name()
            )));
        }
        notes.push(format!("the health check becomes weaker, as health.check says: until now by {weaker}"));
    }
    if let (Some(from), Some(to)) = (former.probe.port(), gate.probe.port())
        && from != to
    {
        notes.push(format!(
            "the port moves from {from} to {to}: what sends requests (a target group, a proxy) must move, too"
        ));
    }
    Ok(())
}

fn asks(probe: &Probe) -> String {
    match probe {
        Probe::Http { port, path, .. } => format!("GET {path} on port {port}"),
        Probe::Tcp { port } => format!("a connection to port {port}"),
        Probe::Alive => "whether a process stays alive".to_owned(),
        Probe::Command { what, .. } => format!("whether {what}"),
    }
}

/// How the wanted deployment is waited for: with nothing to go back to, its whole time counts.
pub fn wait(gate: &Gate, manifest: &Manifest, can_go_back: bool) -> HealthWait {
    HealthWait {
        gate: gate.clone(),
        most_restarts: can_go_back.then_some(MOST_RESTARTS),
        elsewhere: manifest.health.timeout.is_none().then_some(ELSEWHERE),
    }
}

/// For a deployment that passed before.
pub fn await_gate<'a>(steps: &'a mut Steps, id: &str, why: &str, gate: &Gate) -> Added<'a> {
    let wait = HealthWait { gate: gate.clone(), most_restarts: Some(MOST_RESTARTS), elsewhere: None };
    await_health(steps, id, why, wait)
}

/// The gate's own deadline ends it with what it saw; the step's is only for a gate that hangs.
pub fn await_health<'a>(steps: &'a mut Steps, id: &str, why: &str, wait: HealthWait) -> Added<'a> {
    let most = Seconds(wait.gate.within.0 + wait.gate.soak.0 + 10);
    let mut step = steps.add(id, why, Action::AwaitHealth(wait));
    step.lasting(most);
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Probe = Probe::Alive;

    fn http(port: u16) -> Probe {
        Probe::Http {
            port,
            path: "/health".into(),
            statuses: Vec::new(),
            host: None,
            answer: Probe::answer(),
        }
    }

    fn tcp(port: u16) -> Probe {
        Probe::Tcp { port }
    }

    fn compared(former: Probe, now: Probe, said: Option<Strength>) -> Result<Vec<String>> {
        let gate = |probe| Gate {
            unit: "x.service".into(),
            probe,
            also: Vec::new(),
            within: Seconds(10),
            soak: Seconds(1),
            interval_ms: 500,
        };
        let mut notes = Vec::new();
        compare(&gate(former), &gate(now), said, &mut notes).map(|()| notes)
    }

    #[test]
    fn a_weaker_check_is_refused_and_names_the_words_that_allow_it() {
        for (former, now, word) in [
            (http(3000), tcp(3000), "port"),
            (http(3000), ALIVE, "process"),
            (tcp(3000), ALIVE, "process"),
            (http(3000), tcp(4000), "port"),
        ] {
            let error = compared(former, now, None).unwrap_err();
            assert_eq!(error.code(), Code::HealthWeaker);
            assert!(error.to_string().contains(&format!("health.check = \"{word}\"")), "{error}");
        }
        // Words that say something else do not count.
        assert!(compared(http(3000), ALIVE, Some(Strength::Port)).is_err());
    }

    #[test]
    fn a_weaker_check_that_is_said_in_words_is_told() {
        for (former, now, said) in
            [(http(3000), tcp(3000), Strength::Port), (tcp(3000), ALIVE, Strength::Process)]
        {
            let notes = compared(former, now, Some(said)).unwrap();
            assert!(notes.len() == 1 && notes[0].contains("becomes weaker"), "{notes:?}");
        }
    }

    #[test]
    fn as_strong_or_stronger_is_said_nothing_of() {
        for (former, now) in [
            (http(3000), http(3000)),
            (tcp(3000), http(3000)),
            (ALIVE, http(3000)),
            (ALIVE, tcp(3000)),
            (ALIVE, ALIVE),
            (tcp(3000), tcp(3000)),
        ] {
            assert_eq!(compared(former, now, None).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_port_that_moves_is_told() {
        for (former, now) in [(http(3000), http(3001)), (tcp(3000), http(3001)), (tcp(3000), tcp(3001))] {
            let notes = compared(former, now, None).unwrap();
            assert!(notes.len() == 1 && notes[0].contains("from 3000 to 3001"), "{notes:?}");
        }
    }
}
