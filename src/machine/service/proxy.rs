//! One probe through the proxy in front of a service. Changes nothing.

use super::observation::{Bad, Good, bad};
use super::own_port::held;
use super::port::at;
use crate::fault::Fault;
use crate::machine::process::sockets;
use crate::machine::process::units::{self, UnitState};
use crate::plan::Request;

/// The proxy's answer on this port. If its unit does not run because another process has the port, that is the error.
pub async fn ask(unit: &str, port: u16, request: Option<&Request>) -> Result<Good, Bad> {
    let state = units::settled(unit).await.unwrap_or_default();
    if !state.is_active() || state.main_pid == 0 {
        return Err(down(unit, port, &state));
    }
    let good = at(port, request, &state).await.map_err(|bad| explained(unit, bad))?;
    Ok(Good { answer: format!("through {unit} on port {port}"), ..good })
}

fn down(unit: &str, port: u16, state: &UnitState) -> Bad {
    let foreign = sockets::listeners(port, "").foreign;
    if let Some(holder) = foreign.first() {
        return explained(unit, held(port, Some(holder)));
    }
    let active = if state.active.is_empty() { "not there" } else { &state.active };
    let cause = format!("{unit}, the proxy in front of it, is {active} ({})", state.sub);
    Bad { remedy: Some(remedy(unit)), ..bad(Fault::ServiceExited, cause) }
}

fn remedy(unit: &str) -> String {
    format!("journalctl -u {unit} shows why; bootagent run starts it again")
}

/// The same with the proxy's name. Its other ports are not the service's.
fn explained(unit: &str, found: Bad) -> Bad {
    let remedy = found.remedy.unwrap_or_else(|| match found.fault {
        Fault::HealthBadAnswer => format!(
            "the service itself answers well: does it listen on 127.0.0.1 or on all addresses, where the proxy asks it? \
             journalctl -u {unit} shows why it did not answer the proxy"
        ),
        _ => remedy(unit),
    });
    let cause = crate::secret::Message::from(format!("through its proxy {unit}: ")).and(found.cause);
    Bad { is_elsewhere: false, cause, remedy: Some(remedy), ..found }
}
