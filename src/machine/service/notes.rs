//! Notes for the operator of a healthy service: on which port it was found to listen, and whether a load balancer reaches
//! it. Reads only. They quote no foreign text.

use std::collections::BTreeSet;

use super::observed::{Observed, list, observe, only};
use crate::machine::process::sockets::{self, Listener};
use crate::machine::process::units::UnitState;
use crate::plan::{HealthWait, Probe, layout};

pub fn of(wait: &HealthWait, state: &UnitState) -> Vec<String> {
    let gate = &wait.gate;
    let (observed, ports) = match (&gate.probe, gate.probe.port()) {
        (_, Some(port)) => (None, BTreeSet::from([port])),
        (Probe::Observed { web, .. }, None) => {
            let observed = observe(state);
            (Some(found(&observed, *web)), observed.ports())
        }
        (_, None) => return Vec::new(),
    };
    let own = sockets::all_own(&state.cgroup).into_iter().filter(|own| ports.contains(&own.address.port()));
    let moved = moved(&wait.listened, &ports);
    // With a proxy on this machine, loopback is the right address; and nothing but that asks a candidate.
    let is_asked_from_outside = gate.proxy().is_none() && !layout::is_transient(&gate.unit);
    let local = local(&own.collect::<Vec<_>>()).filter(|_| is_asked_from_outside);
    observed.into_iter().chain(moved).chain(local).collect()
}

/// The note if the only observed port is not the one of the last healthy deployment.
fn moved(before: &BTreeSet<u16>, now: &BTreeSet<u16>) -> Option<String> {
    let (from, to) = (only(before)?, only(now)?);
    (from != to).then(|| {
        format!(
            "the port moved from {from} to {to}: change what sends requests (a target group, a proxy), too"
        )
    })
}

fn found(observed: &Observed, is_web: bool) -> String {
    match observed {
        Observed::One(port) => format!(
            "no port is configured; the service listens on port {port} (found by observation): set port = {port} in \
             bootagent.toml"
        ),
        Observed::Several(ports) => format!(
            "no port is configured; the service listens on ports {} (found by observation), and none of them was \
             chosen: set port in bootagent.toml to the one that takes requests",
            list(ports)
        ),
        Observed::Nothing if is_web => "no port: only a live process was seen, and the service has a web framework: it \
                                        does not listen yet, or failed to; its log may say why (bootagent logs)"
            .to_owned(),
        Observed::Nothing => "no port: only a live process was seen; if the service takes requests, set port in \
                              bootagent.toml, and if not, health.check = \"process\""
            .to_owned(),
    }
}

/// The note if all of these sockets are bound to loopback addresses.
fn local(own: &[Listener]) -> Option<String> {
    let is_local = !own.is_empty() && own.iter().all(Listener::is_loopback);
    is_local.then(|| {
        let at = own.iter().map(|own| own.address.to_string()).collect::<Vec<_>>().join(", ");
        format!(
            "the service listens on {at} only: nothing outside of this machine, such as a load balancer, reaches it; \
             listen on 0.0.0.0 or :: unless a proxy on this machine is in front"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_observation_has_its_note() {
        let one = found(&Observed::One(8080), true);
        assert!(one.contains("listens on port 8080 (found by observation): set port = 8080 in"), "{one}");
        let several = found(&Observed::Several([3000, 9090].into()), false);
        assert!(several.contains("ports 3000 and 9090") && several.contains("none of them was chosen"));
        for is_web in [true, false] {
            assert!(found(&Observed::Nothing, is_web).starts_with("no port: only a live process was seen"));
        }
    }

    #[test]
    fn a_port_that_moved_is_noted() {
        assert!(moved(&[3000].into(), &[3001].into()).unwrap().contains("from 3000 to 3001"));
        for (before, now) in
            [(&[3000][..], &[3000][..]), (&[], &[3000]), (&[3000], &[]), (&[3000], &[3000, 9090])]
        {
            let set = |ports: &[u16]| ports.iter().copied().collect();
            assert_eq!(moved(&set(before), &set(now)), None);
        }
    }

    #[test]
    fn only_a_service_that_listens_on_loopback_alone_is_out_of_reach() {
        let noted = |addresses: &[&str]| {
            let own = addresses.iter().map(|address| Listener::at(address.parse().unwrap()));
            local(&own.collect::<Vec<_>>())
        };
        for addresses in
            [&["127.0.0.1:1"][..], &["[::1]:1"], &["127.0.0.1:1", "[::1]:1"], &["[::ffff:127.0.0.1]:1"]]
        {
            assert!(noted(addresses).unwrap().contains(addresses[0]), "{addresses:?}");
        }
        for addresses in [&[][..], &["0.0.0.0:1"], &["[::]:1"], &["127.0.0.1:1", "10.0.0.1:1"]] {
            assert_eq!(noted(addresses), None, "{addresses:?}");
        }
    }
}
