//! One probe of a service: whether its process runs, whether that process listens on the port, and what it answers.
//! Changes nothing and keeps no state; `gate.rs` repeats it.

use super::command;
use super::container;
use super::observation::{Bad, Good, bad, imds_answers};
use super::observed::{Observed, list, observe};
use super::own_port::own_address;
use super::port::at;
use super::{process_unit, protocol, proxy};
use crate::fault::Fault;
use crate::machine::process::units::UnitState;
use crate::machine::process::watcher;
use crate::plan::{Gate, Probe, Request};

/// Probes the unit: the gate's probe, and its further probes (`also`).
pub async fn probe(gate: &Gate, state: &UnitState) -> Result<Good, Bad> {
    if state.imds_answered && !state.is_active() {
        return Err(imds_answers());
    }
    if !state.is_active() || state.main_pid == 0 {
        return Err(bad(Fault::ServiceExited, format!("the unit is {} ({})", state.active, state.sub)));
    }
    // The further probes first: "this process ends again and again" is a better cause than "nothing listens".
    let (through, others): (Vec<&Probe>, Vec<&Probe>) =
        gate.also.iter().partition(|also| matches!(also, Probe::Through { .. }));
    let (mut processes, mut worst) = (None, None);
    for also in others {
        let of_this = match one(also, state).await {
            Ok(good) => good.processes,
            Err(mut bad) => {
                let of_this = bad.processes.take();
                worst.get_or_insert(bad);
                of_this
            }
        };
        processes = process_unit::joined(processes, of_this);
    }
    if let Some(bad) = worst {
        return Err(Bad { processes, ..bad });
    }
    let has_container = gate.also.iter().any(|also| matches!(also, Probe::Container { port: Some(_), .. }));
    let published;
    let state = match has_container {
        true => {
            published = container::published(state).await;
            &published
        }
        false => state,
    };
    let mut good = match abandoned(one(&gate.probe, state).await, state) {
        Ok(good) => Good { processes: good.processes.or(processes), ..good },
        Err(bad) => return Err(Bad { processes: bad.processes.or(processes), ..bad }),
    };
    // A proxy last: it can only be as good as the service.
    for proxy in through {
        let also = one(proxy, state).await.map_err(|bad| Bad { processes: good.processes.clone(), ..bad })?;
        good.answer = format!("{}, also {}", good.answer, also.answer);
    }
    Ok(good)
}

/// The result, or that the program has ended which a watcher started: nothing listens any more, and the watcher's own
/// process stays alive until a file changes, which does not happen in a release.
fn abandoned(result: Result<Good, Bad>, state: &UnitState) -> Result<Good, Bad> {
    let is_listening = match &result {
        Ok(good) => good.is_listening,
        Err(bad) => bad.fault != Fault::HealthNoListener,
    };
    let idle = || watcher::idle(&state.cgroup);
    match (!is_listening).then(idle).flatten() {
        Some(watcher) => Err(Bad {
            is_abandoned: true,
            remedy: Some(format!(
                "start the program itself, without {watcher} (start in bootagent.toml): a release's files do not \
                 change, and systemd starts a program that ended again; then: bootagent update"
            )),
            ..bad(
                Fault::ServiceExited,
                format!(
                    "the program that {watcher} started has ended; {watcher} waits for a change of its files"
                ),
            )
        }),
        None => result,
    }
}

async fn one(probe: &Probe, state: &UnitState) -> Result<Good, Bad> {
    match probe {
        Probe::Alive => {
            let answer = format!("alive as pid {}", state.main_pid);
            Ok(Good { answer, is_listening: false, processes: None })
        }
        Probe::Tcp { port } => at(*port, None, state).await,
        Probe::Http { port, request } => at(*port, Some(request), state).await,
        Probe::Server { port, protocol } => {
            let answer = protocol::ask(*protocol, own_address(*port, state)?.address).await?;
            Ok(Good { answer, is_listening: true, processes: None })
        }
        Probe::Observed { request, .. } => found(request.as_ref(), state).await,
        Probe::Through { unit, port, request } => proxy::ask(unit, *port, request.as_ref()).await,
        Probe::Container { docker, name, port, must_be_healthy } => {
            container::probe(docker, name, *port, *must_be_healthy).await
        }
        Probe::Command { what, argv, user, environment } => command::ask(what, argv, user, environment).await,
        Probe::Unit { unit } => process_unit::ask(unit).await,
    }
}

/// Probes the port on which the service is found to listen.
async fn found(request: Option<&Request>, state: &UnitState) -> Result<Good, Bad> {
    let seen = |answer: String, is_listening| Good { answer, is_listening, processes: None };
    match (observe(state), request) {
        (Observed::One(port), _) => at(port, request, state).await,
        (Observed::Several(ports), None) => Ok(seen(format!("listening on ports {}", list(&ports)), true)),
        (Observed::Nothing, None) => {
            Ok(seen(format!("alive as pid {}, without a port", state.main_pid), false))
        }
        (Observed::Several(ports), Some(request)) => {
            let (ports, path) = (list(&ports), &request.path);
            let cause =
                format!("it listens on ports {ports}, and nothing says on which of them {path} is requested");
            let remedy = format!("set port to one of {ports} in bootagent.toml, and then: bootagent update");
            Err(Bad { remedy: Some(remedy), ..bad(Fault::HealthNoListener, cause) })
        }
        (Observed::Nothing, Some(request)) => {
            let cause = format!("it listens on no port, and {} is requested", request.path);
            Err(bad(Fault::HealthNoListener, cause))
        }
    }
}
