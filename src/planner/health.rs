//! The health check of a deployment: which probe, how long to wait, and a refusal of updates that silently weaken it.

use std::collections::BTreeSet;

use crate::error::{Code, Error, Result};
use crate::facts::{Generation, Strength};
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Variables;
use crate::plan::layout::Layout;
use crate::plan::{Action, Gate, HealthWait, PortsRecord, Probe, Request, Seconds};

use super::records;
use super::runtime::Recipe;
use super::steps::{Added, Steps};
use super::{Wanted, proxy};

/// If a previous deployment can serve instead: a few restarts may have a temporary cause, more are a crash loop, during
/// which requests are lost.
const MOST_RESTARTS: u32 = 3;
/// A service that listens only on other ports for this long listens on the wrong one. Not used if the manifest sets
/// `health.timeout`: a service may open its metrics port long before the checked one.
const ELSEWHERE: Seconds = Seconds(15);

/// The health check: HTTP if the manifest has a path, else TCP if a port is known, else what is observed of the service's
/// processes; `health.check` overrides that. The port is the variable PORT of the service, of which the manifest's is the default.
pub fn gate(
    wanted: &Wanted,
    variables: &Variables,
    recipe: &Recipe,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<Gate> {
    let manifest = wanted.manifest;
    // As runtimes read it: a value in a secret often ends with a newline.
    let variable =
        variables.get("PORT").map(|port| port.expose().trim().parse().ok().filter(|port| *port != 0));
    if variable == Some(None) {
        notes.push("PORT is not a number from 1 to 65535: the health check uses no port".to_owned());
    }
    let port = variable.flatten();
    proxy::refuse_low_variable(port, wanted.selection)?;
    if let Some(unused) = manifest.port.filter(|unused| Some(*unused) != port) {
        notes.push(format!("port = {unused} has no effect: PORT is set elsewhere"));
    }
    let probe = probe(manifest, port, variable.is_some(), recipe)?;
    match &probe {
        Probe::Alive => notes.push(ALIVE_ONLY.to_owned()),
        Probe::Observed { .. } => notes.push(OBSERVED.to_owned()),
        _ => {}
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

fn probe(manifest: &Manifest, port: Option<u16>, has_variable: bool, recipe: &Recipe) -> Result<Probe> {
    let health = &manifest.health;
    let web = recipe.is_web;
    // A site has a first page, if nothing else.
    let first_page = recipe.site().filter(|_| health.check.is_none()).map(|_| "/".to_owned());
    let request = health.path.clone().or(first_page).map(|path| Request {
        path,
        statuses: health.status.clone(),
        host: health.host.clone(),
        answer: health.answer,
        page: None,
    });
    match (port, request, health.check) {
        (_, _, Some(Strength::Process)) => Ok(Probe::Alive),
        (Some(port), Some(request), _) => Ok(Probe::Http { port, request }),
        (Some(port), None, _) => Ok(match recipe.data_host() {
            Some(host) => Probe::Server { port, protocol: host.server.protocol },
            None => Probe::Tcp { port },
        }),
        (None, None, None) => Ok(Probe::Observed { web, request: None }),
        // A PORT that is set and cannot be used is a mistake that an observation would hide.
        (None, Some(request), None) if !has_variable => Ok(Probe::Observed { web, request: Some(request) }),
        (None, request, check) => {
            let what = match (request, check) {
                (Some(request), None) => format!("health.path = \"{}\"", request.path),
                _ => "health.check = \"port\" or \"http\"".to_owned(),
            };
            let cause = match has_variable {
                true => format!("{what} needs a port, and PORT is not a number"),
                false => format!("{what} needs a port, and neither bootagent.toml nor PORT names one"),
            };
            Err(Error::new(Code::ManifestInvalid, "planning the health check", cause)
                .remedy("add port = 3000 (the service's port) to bootagent.toml, or PORT to the secret"))
        }
    }
}

const ALIVE_ONLY: &str =
    "the health check is only that a process stays alive, as health.check says; no request is sent";
const OBSERVED: &str = "no port is known: the health check observes on which port the service listens, and if it listens \
                        on none, only whether its process stays alive: set port and health in bootagent.toml";

/// Compares the health check with that of the deployment that was last healthy on this instance.
pub fn compare_with_good(wanted: &Wanted, gate: &Gate, notes: &mut Vec<String>) -> Result<()> {
    match records::good(wanted) {
        Some(good) => compare(&good.generation.gate, gate, wanted.manifest.health.check, notes),
        None => Ok(()),
    }
}

/// Refuses a weaker check than that of the last healthy deployment, with which a broken update could count as healthy,
/// unless `allowed` (`health.check` of the manifest) is that check. An allowed one and a new port add a note.
fn compare(former: &Gate, gate: &Gate, allowed: Option<Strength>, notes: &mut Vec<String>) -> Result<()> {
    let (before, now) = (former.probe.strength(), gate.probe.strength());
    let loses_request = former.probe.request().is_some() && gate.probe.request().is_none();
    if now < before || loses_request {
        let weaker = format!("{}, and this commit by {}", shown(&former.probe), shown(&gate.probe));
        if allowed != Some(now) {
            let cause = format!("the previous deployment is checked by {weaker}");
            return Err(Error::new(Code::HealthWeaker, "comparing the health checks", cause).remedy(format!(
                "restore port and health.path in bootagent.toml (or PORT in the secret); if the weaker check is \
                 intended, allow it there: health.check = \"{}\"; then: bootagent update",
                allowing(now).name()
            )));
        }
        notes.push(format!("the health check becomes weaker, as health.check says: until now by {weaker}"));
    }
    if let (Some(from), Some(to)) = (former.outer_port(), gate.outer_port())
        && from != to
    {
        notes.push(format!(
            "the port moves from {from} to {to}: change what sends requests (a target group, a proxy), too"
        ));
    }
    Ok(())
}

/// The value of `health.check` for a check that is as weak: an observation has none of its own.
fn allowing(now: Strength) -> Strength {
    match now {
        Strength::Observed => Strength::Process,
        other => other,
    }
}

fn shown(probe: &Probe) -> String {
    match probe {
        Probe::Http { port, request } => format!("GET {} on port {port}", request.path),
        Probe::Tcp { port } => format!("a connection to port {port}"),
        Probe::Server { port, protocol } => format!("an answer of {} on port {port}", protocol.name()),
        Probe::Observed { request: Some(request), .. } => {
            format!("GET {} on whichever port it listens", request.path)
        }
        Probe::Observed { request: None, .. } => "whichever port it listens on, if any".to_owned(),
        Probe::Through { unit, .. } => format!("an answer through {unit}"),
        Probe::Alive => "whether a process stays alive".to_owned(),
        Probe::Container { .. } => "whether its container runs".to_owned(),
        Probe::Command { what, .. } => format!("whether {what}"),
        Probe::Unit { unit } => format!("whether {unit} runs"),
    }
}

/// The wait for the new deployment. Without a previous deployment to go back to, restarts do not end it early.
pub fn wait(wanted: &Wanted, generation: &Generation, layout: &Layout, can_go_back: bool) -> HealthWait {
    let is_observed = matches!(generation.gate.probe, Probe::Observed { .. });
    let good = records::good(wanted).filter(|_| is_observed);
    let (facts, service) = (wanted.facts, &wanted.selection.service);
    HealthWait {
        most_restarts: can_go_back.then_some(MOST_RESTARTS),
        elsewhere: wanted.manifest.health.timeout.is_none().then_some(ELSEWHERE),
        listened: good.map(|good| records::listened(facts, service, &good.generation)).unwrap_or_default(),
        record: is_observed
            .then(|| PortsRecord { path: layout.listened(), release: generation.release.clone() }),
        ..HealthWait::of(generation.gate.clone())
    }
}

/// Adds the health check of a candidate, or of a deployment that was healthy before and `listened` on these ports.
pub fn await_gate<'a>(
    steps: &'a mut Steps,
    id: &str,
    why: &str,
    gate: &Gate,
    listened: BTreeSet<u16>,
) -> Added<'a> {
    let most_restarts = Some(MOST_RESTARTS);
    let wait = HealthWait { most_restarts, listened, ..HealthWait::of(gate.clone()) };
    await_health(steps, id, why, wait)
}

/// The step's time limit is longer than the check's own, whose error says what the probes found; the step's does not.
pub fn await_health<'a>(steps: &'a mut Steps, id: &str, why: &str, wait: HealthWait) -> Added<'a> {
    let most = Seconds(wait.gate.within.0 + wait.gate.good_for(false).0 + 10);
    let mut step = steps.add(id, why, Action::AwaitHealth(wait));
    step.lasting(most);
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Probe = Probe::Alive;

    fn http(port: u16) -> Probe {
        Probe::Http { port, request: request() }
    }

    fn request() -> Request {
        Request {
            path: "/health".into(),
            statuses: Vec::new(),
            host: None,
            answer: Probe::answer(),
            page: None,
        }
    }

    fn observed(request: Option<Request>) -> Probe {
        Probe::Observed { web: false, request }
    }

    fn tcp(port: u16) -> Probe {
        Probe::Tcp { port }
    }

    fn compared(former: Probe, now: Probe, allowed: Option<Strength>) -> Result<Vec<String>> {
        let gate = |probe| Gate {
            unit: "x.service".into(),
            probe,
            also: Vec::new(),
            within: Seconds(10),
            soak: Seconds(1),
            interval_ms: 500,
        };
        let mut notes = Vec::new();
        compare(&gate(former), &gate(now), allowed, &mut notes).map(|()| notes)
    }

    #[test]
    fn a_weaker_check_is_refused_and_its_remedy_has_the_key_that_allows_it() {
        for (former, now, word) in [
            (http(3000), tcp(3000), "port"),
            (http(3000), ALIVE, "process"),
            (tcp(3000), ALIVE, "process"),
            (http(3000), tcp(4000), "port"),
            (http(3000), observed(None), "process"),
            (http(3000), observed(Some(request())), "process"),
            (tcp(3000), observed(None), "process"),
            (tcp(3000), observed(Some(request())), "process"),
            (observed(None), ALIVE, "process"),
            (observed(Some(request())), observed(None), "process"),
            (observed(Some(request())), tcp(3000), "port"),
        ] {
            let error = compared(former, now, None).unwrap_err();
            assert_eq!(error.code(), Code::HealthWeaker);
            assert!(error.to_string().contains(&format!("health.check = \"{word}\"")), "{error}");
        }
        // Another value than the weaker check's does not allow it.
        assert!(compared(http(3000), ALIVE, Some(Strength::Port)).is_err());
    }

    #[test]
    fn an_allowed_weaker_check_adds_a_note() {
        for (former, now, allowed) in [
            (http(3000), tcp(3000), Strength::Port),
            (tcp(3000), ALIVE, Strength::Process),
            (observed(None), ALIVE, Strength::Process),
        ] {
            let notes = compared(former, now, Some(allowed)).unwrap();
            assert!(notes.len() == 1 && notes[0].contains("becomes weaker"), "{notes:?}");
        }
    }

    #[test]
    fn an_equal_or_stronger_check_adds_no_note() {
        for (former, now) in [
            (http(3000), http(3000)),
            (tcp(3000), http(3000)),
            (ALIVE, http(3000)),
            (ALIVE, tcp(3000)),
            (ALIVE, ALIVE),
            (tcp(3000), tcp(3000)),
            (ALIVE, observed(None)),
            (observed(None), observed(None)),
            (observed(None), observed(Some(request()))),
            (observed(None), tcp(3000)),
            (observed(Some(request())), http(3000)),
        ] {
            assert_eq!(compared(former, now, None).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn another_port_adds_a_note() {
        for (former, now) in [(http(3000), http(3001)), (tcp(3000), http(3001)), (tcp(3000), tcp(3001))] {
            let notes = compared(former, now, None).unwrap();
            assert!(notes.len() == 1 && notes[0].contains("from 3000 to 3001"), "{notes:?}");
        }
    }
}
