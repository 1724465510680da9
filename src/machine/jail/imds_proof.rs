//! The proof that instance metadata does not answer this process: what a child's or a service's walls
//! promise is tried. Nothing here changes anything.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::error::Result;
use crate::fault::Fault;

/// The child role of the proof alone; a service's unit runs it before the service.
pub const PROOF: &str = "imds-proof";

/// How the parent learns that the proof failed: outside what programs commonly exit with.
pub const IMDS_ANSWERS: i32 = 189;

/// Under `IPAddressDeny=` packets are dropped, so that an attempt takes its whole time. IMDS answers within
/// a millisecond or two.
const PATIENCE: Duration = Duration::from_millis(250);

/// The same where the kernel has already refused a datagram to the address. A firewall may refuse datagrams
/// only, so that a connection is tried all the same.
const CONFIRMING: Duration = Duration::from_millis(30);

/// A property that was accepted is no proof: some kernels take it and do nothing.
pub fn prove_no_imds() -> Result<()> {
    let addresses = [
        SocketAddr::from(([169, 254, 169, 254], 80)),
        SocketAddr::from(([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 80)),
    ];
    for address in addresses {
        let patience = if refuses_datagrams(address) { CONFIRMING } else { PATIENCE };
        if TcpStream::connect_timeout(&address, patience).is_ok() {
            let doing = "proving that this process has no instance metadata";
            return Err(Fault::ImdsAnswers.error(doing, format!("{address} answers")));
        }
    }
    Ok(())
}

/// Whether the kernel refuses to send a datagram there: a filter's drop is told to the sender at once, while
/// that of a connection's first packet shows in nothing but the silence after it.
fn refuses_datagrams(address: SocketAddr) -> bool {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    UdpSocket::bind(any)
        .and_then(|socket| socket.send_to(&[0], address))
        .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::jail::child::Role;
    use crate::plan::layout;

    #[test]
    fn units_run_this_role() {
        assert_eq!(layout::IMDS_PROOF, format!("bootagent {} {PROOF}", Role::VERB));
    }

    #[test]
    fn where_nothing_filters_no_datagram_is_refused() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!refuses_datagrams(socket.local_addr().unwrap()));
    }
}
