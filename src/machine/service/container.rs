//! The probe of a container: it must run, and its program must listen on the container's port, at an address that the
//! published port leads to. Docker accepts connections to the published port even if nothing listens in the container.

use std::net::SocketAddr;
use std::path::Path;

use super::accept::accepted;
use super::observation::{Bad, Good, Processes, bad};
use super::observed::list;
use crate::fault::Fault;
use crate::machine::container::inspect::{self, Running};
use crate::machine::process::sockets;
use crate::machine::process::units::{self, UnitState};
use crate::plan::Probe;
use crate::secret::Message;

/// The unit whose processes have the sockets of published ports.
const ENGINE: &str = "docker.service";

pub async fn probe(docker: &Path, name: &str, port: Option<u16>, must_be_healthy: bool) -> Result<Good, Bad> {
    let Some(running) = inspect::running(docker, name).await else {
        return Err(bad(Fault::HealthNoListener, format!("the container {name} does not run yet")));
    };
    let processes = Some(Processes { restarts: 0, which: running.which.clone() });
    // Without a check in the image, a healthcheck of the file that has no test checks nothing.
    if must_be_healthy && running.health.as_deref().is_some_and(|health| health != "healthy") {
        return Err(Bad { processes, ..unhealthy(name, &running) });
    }
    match port {
        None => Ok(Good { answer: format!("the container {name} runs"), is_listening: false, processes }),
        Some(port) => match listens(&running, port).await {
            Ok(answer) => Ok(Good { answer, is_listening: true, processes }),
            Err(bad) => Err(Bad { processes, ..bad }),
        },
    }
}

fn unhealthy(name: &str, running: &Running) -> Bad {
    let state = running.health.as_deref().unwrap_or("not checked");
    let said = match running.said.is_blank() {
        true => Message::from(""),
        false => Message::from("; its check says: ").and(running.said.trimmed()),
    };
    let remedy = format!(
        "docker inspect {name} shows the output of the check; correct what it finds, or the healthcheck in the compose \
         file; then: bootagent update"
    );
    let cause = Message::from(format!("docker's health check calls the container {name} {state}")).and(said);
    Bad { remedy: Some(remedy), ..bad(Fault::HealthBadAnswer, cause) }
}

async fn listens(running: &Running, port: u16) -> Result<String, Bad> {
    let pid = running.pid;
    let all = sockets::listening_in(pid);
    let at_port: Vec<_> = all.iter().filter(|one| one.address.port() == port).collect();
    if at_port.is_empty() {
        let others =
            all.iter().filter(|one| !is_of_docker(one.address)).map(|one| one.address.port()).collect();
        let remedy = "set the port on which the program listens in the container (port in [docker] of bootagent.toml, \
                      or ports in the compose file); then: bootagent update";
        let cause = match list(&others) {
            none if none.is_empty() => format!("nothing listens on port {port} in the container"),
            others => format!("in the container it listens on {others}, not on {port}"),
        };
        let is_elsewhere = !others.is_empty();
        return Err(Bad {
            is_elsewhere,
            remedy: Some(remedy.to_owned()),
            ..bad(Fault::HealthNoListener, cause)
        });
    }
    if at_port.iter().all(|one| one.is_loopback()) {
        let address = at_port[0].address;
        let remedy = "the program must listen on all addresses of the container: 0.0.0.0, often by HOST or a flag of the \
                      start command; push a fix, then: bootagent update";
        let cause =
            format!("in the container it listens on {address} only, where the published port does not lead");
        return Err(Bad {
            is_elsewhere: true,
            remedy: Some(remedy.to_owned()),
            ..bad(Fault::HealthNoListener, cause)
        });
    }
    let Some(address) = running.address else {
        return Err(bad(Fault::HealthNoListener, "docker gave the container no address"));
    };
    let address = SocketAddr::new(address, port);
    let unaccepted = move || {
        sockets::listening_in(pid)
            .iter()
            .filter(|one| one.address.port() == port)
            .map(|one| one.unaccepted)
            .sum()
    };
    accepted(address, unaccepted, Probe::answer().duration()).await?;
    Ok(format!("listening on {address} in the container"))
}

/// Docker's own name server in the container.
fn is_of_docker(address: SocketAddr) -> bool {
    address.ip().to_string() == "127.0.0.11"
}

/// The state of the service's unit, with docker's control group in place of its own: docker has the sockets of the port
/// that it publishes for the container.
pub async fn published(state: &UnitState) -> UnitState {
    let engine = units::state(ENGINE).await.map(|engine| engine.cgroup).unwrap_or_default();
    UnitState { cgroup: engine, ..state.clone() }
}
