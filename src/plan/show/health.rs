//! The lines of a health check in a plan.

use crate::plan::{HealthWait, Probe, Request};

pub fn lines(wait: &HealthWait) -> Vec<String> {
    let gate = &wait.gate;
    let mut lines = vec![format!(
        "{}, within {}, then for {} without a failed check or a restart",
        std::iter::once(&gate.probe).chain(&gate.also).map(probe).collect::<Vec<_>>().join(", and "),
        gate.within,
        gate.soak
    )];
    if gate.good_for(false) > gate.soak && gate.probe.request().is_none() && wait.listened.is_empty() {
        let longer = gate.good_for(false);
        lines.push(format!("for {longer} if it does not listen: it has a web framework"));
    }
    if !wait.listened.is_empty() {
        let ports: Vec<String> = wait.listened.iter().map(u16::to_string).collect();
        lines.push(format!("it must listen: the last healthy deployment listened on {}", ports.join(", ")));
    }
    let restarts = wait.most_restarts.map(|most| format!("after {most} restarts"));
    let elsewhere = wait.elsewhere.filter(|_| gate.probe.port().is_some());
    let elsewhere = elsewhere.map(|time| format!("after {time} of listening on other ports only"));
    let sooner: Vec<String> = restarts.into_iter().chain(elsewhere).collect();
    if !sooner.is_empty() {
        lines.push(format!("fails sooner {}", sooner.join(", or ")));
    }
    lines
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Http { port, request } => get(&port.to_string(), request),
        Probe::Tcp { port } => format!("the service itself listens on port {port}"),
        Probe::Server { port, protocol } => {
            format!("it answers on port {port} in {}'s protocol as one that is ready", protocol.name())
        }
        Probe::Observed { request: Some(request), .. } => {
            get("PORT", request) + "; PORT is the one that the service itself listens on, by observation"
        }
        Probe::Observed { request: None, .. } => {
            "the port that the service itself listens on, by observation, accepts a \
                                                  connection; without one, the process is alive"
                .to_owned()
        }
        Probe::Container { name, port, must_be_healthy, .. } => {
            let does = match port {
                Some(port) => format!("listens on port {port} in it"),
                None => "runs".to_owned(),
            };
            let health = if *must_be_healthy { " and is healthy, as docker checks it" } else { "" };
            format!("the container {name} {does}{health}")
        }
        Probe::Alive => "the process is alive (no port is checked)".to_owned(),
        Probe::Through { unit, port, request: Some(request) } => {
            get(&port.to_string(), request).replace("of the service", &format!("of {unit}"))
        }
        Probe::Through { unit, port, request: None } => format!("{unit} listens on port {port}"),
        Probe::Command { what, .. } => what.clone(),
        Probe::Unit { unit } => format!("{unit} runs"),
    }
}

fn get(port: &str, request: &Request) -> String {
    let Request { path, statuses, host, .. } = request;
    let good = match statuses.is_empty() {
        true => "2xx".to_owned(),
        false => statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" or "),
    };
    let host = host.as_ref().map(|host| format!(" (Host: {host})")).unwrap_or_default();
    let page = request.page.as_ref().map(|page| format!(", with exactly the bytes of {}", page.display()));
    let page = page.unwrap_or_default();
    format!("GET http://127.0.0.1:{port}{path}{host} answers {good}{page}, from a socket of the service")
}
