//! Proves that this process cannot reach IMDS, by trying to connect: some kernels accept `IPAddressDeny=` without an
//! effect. Changes nothing.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::error::Result;
use crate::fault::Fault;

/// The child role that runs the proof and nothing else. A service's unit has it as `ExecStartPre=`.
pub const PROOF: &str = "imds-proof";

/// How long to try to connect. IMDS answers within 2 ms. Under `IPAddressDeny=` the kernel drops the packets, so each
/// attempt takes this whole time.
const CONNECT: Duration = Duration::from_millis(250);

/// The same after the kernel refused a UDP datagram to the address. That is not proof enough, because a firewall may
/// refuse UDP only.
const CONNECT_AFTER_REFUSAL: Duration = Duration::from_millis(30);

/// `Fault::ImdsAnswers` if a TCP connection to IMDS succeeds, by IPv4 or IPv6.
pub fn prove_no_imds() -> Result<()> {
    let addresses = [
        SocketAddr::from(([169, 254, 169, 254], 80)),
        SocketAddr::from(([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 80)),
    ];
    for address in addresses {
        let time_limit = if refuses_datagrams(address) { CONNECT_AFTER_REFUSAL } else { CONNECT };
        if TcpStream::connect_timeout(&address, time_limit).is_ok() {
            let doing = "proving that this process cannot reach IMDS";
            return Err(Fault::ImdsAnswers.error(doing, format!("{address} answers")));
        }
    }
    Ok(())
}

/// Whether the kernel refuses to send a UDP datagram to the address. A filter that drops a datagram fails the send with
/// EPERM at once; when it drops a TCP SYN, the connect only times out.
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
