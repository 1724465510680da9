//! Whether a port is the service's own: an address at which only its unit's sockets answer, or which process holds the port.
//! Reads only.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::observation::{Bad, bad};
use crate::fault::Fault;
use crate::machine::process::sockets::{self, Holder, Listener};
use crate::machine::process::units::UnitState;

/// An address of the service.
pub struct Own {
    /// Where it is asked.
    pub address: SocketAddr,
    /// What its socket is bound to.
    pub bound: SocketAddr,
}

/// An address at which only the unit's own sockets answer. If another process would get the connection, that is
/// `Fault::HealthForeign`.
pub fn own_address(port: u16, state: &UnitState) -> Result<Own, Bad> {
    let listeners = sockets::listeners(port, &state.cgroup);
    if listeners.own.is_empty() && listeners.foreign.is_empty() {
        let others = sockets::ports_of(&state.cgroup);
        let is_elsewhere = !others.is_empty();
        let cause = elsewhere(port, &others);
        return Err(Bad { is_elsewhere, remedy: there(&others), ..bad(Fault::HealthNoListener, cause) });
    }
    match listeners.own_address(sockets::has_ipv6_loopback()) {
        Ok(Some(address)) => Ok(Own { address, bound: sockets::bound(&listeners.own, address) }),
        Ok(None) => Err(held(port, listeners.foreign.first())),
        Err(foreign) => {
            let holder = sockets::holder(foreign);
            let cause = format!(
                "{}, outside the unit, listens on {}, too: it gets connections to port {port} that are meant for the unit",
                named(holder.as_ref()),
                foreign.address
            );
            Err(Bad { remedy: free(port, holder.as_ref()), ..bad(Fault::HealthForeign, cause) })
        }
    }
}

/// The result if another process listens on the port and the unit does not. Names that process if it can be found.
pub fn held(port: u16, foreign: Option<&Listener>) -> Bad {
    let holder = foreign.and_then(sockets::holder);
    let cause = format!("port {port} is held by {}, outside the unit", named(holder.as_ref()));
    Bad { remedy: free(port, holder.as_ref()), ..bad(Fault::HealthForeign, cause) }
}

fn named(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, program, unit: Some(unit) }) => format!("process {pid} ({program}, {unit})"),
        Some(Holder { pid, program, unit: None }) => format!("process {pid} ({program})"),
        None => "another process".to_owned(),
    }
}

fn free(port: u16, holder: Option<&Holder>) -> Option<String> {
    let holder = holder?;
    Some(match &holder.unit {
        Some(unit) if unit.ends_with(".service") => {
            format!(
                "stop it (systemctl disable --now {unit}), or set a port other than {port} for one of the two"
            )
        }
        _ => format!("end process {}, or set a port other than {port} for one of the two", holder.pid),
    })
}

/// The remedy if the service listens on one other port.
fn there(others: &BTreeSet<u16>) -> Option<String> {
    let other = others.first().filter(|_| others.len() == 1)?;
    Some(format!(
        "let the service listen on the port in PORT, or make PORT {other}: in the secret if it is there, else by port = {other} in \
         bootagent.toml; then: bootagent update"
    ))
}

/// The cause if nothing listens on the port: it names the ports on which the service listens instead.
fn elsewhere(port: u16, others: &BTreeSet<u16>) -> String {
    const MOST: usize = 5;
    let named: Vec<String> = others.iter().take(MOST).map(u16::to_string).collect();
    match named.is_empty() {
        true => format!("nothing listens on port {port}"),
        false => format!("it listens on {}, not on {port}", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_on_which_the_service_listens_instead_are_named() {
        assert_eq!(elsewhere(3000, &[].into()), "nothing listens on port 3000");
        assert_eq!(elsewhere(3000, &[4000].into()), "it listens on 4000, not on 3000");
        assert!(there(&[4000].into()).is_some_and(|remedy| remedy.contains("make PORT 4000")));
        assert_eq!((there(&[].into()), there(&[1, 2].into())), (None, None));
        assert_eq!(elsewhere(3000, &(1..99).collect()), "it listens on 1, 2, 3, 4, 5, not on 3000");
    }

    #[test]
    fn a_holder_is_named_as_far_as_it_is_known() {
        let holder =
            |unit: Option<&str>| Holder { pid: 17, program: "nginx".into(), unit: unit.map(str::to_owned) };
        assert_eq!(named(Some(&holder(Some("nginx.service")))), "process 17 (nginx, nginx.service)");
        assert_eq!(named(Some(&holder(None))), "process 17 (nginx)");
        assert_eq!(named(None), "another process");
        assert!(free(3000, Some(&holder(Some("nginx.service")))).unwrap().contains("--now nginx.service"));
        assert!(free(3000, Some(&holder(Some("session-1.scope")))).unwrap().contains("end process 17"));
    }
}
