//! Whose connection it is: the proxy serves the build user alone. Other local users could read private packages with it.

use std::net::{SocketAddr, TcpStream};

/// Whether the other end of a connection from this machine belongs to `uid`. False if the kernel does not list it.
pub fn is_of(uid: u32, stream: &TcpStream) -> bool {
    let (Ok(SocketAddr::V4(theirs)), Ok(SocketAddr::V4(ours))) = (stream.peer_addr(), stream.local_addr())
    else {
        return false;
    };
    let end = |address: &std::net::SocketAddrV4| {
        let number = u32::from_ne_bytes(address.ip().octets());
        (format!("{number:08X}"), format!("{:04X}", address.port()))
    };
    let (theirs, ours) = (end(&theirs), end(&ours));
    // A socket of IPv6 may be connected to an address of IPv4.
    let mapped = format!("0000000000000000{:08X}", u32::from_ne_bytes([0, 0, 0xff, 0xff]));
    let tables = [("/proc/net/tcp", ""), ("/proc/net/tcp6", mapped.as_str())];
    tables.iter().any(|(path, prefix)| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let wanted = [&theirs, &ours].map(|(ip, port)| format!("{prefix}{ip}:{port}"));
        owner(&text, &wanted) == Some(uid)
    })
}

/// The uid of the socket with these two ends, in the format of /proc/net/tcp.
fn owner(text: &str, [local, remote]: &[String; 2]) -> Option<u32> {
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_it = fields.next()? == local && fields.next()? == remote;
        is_it.then(|| fields.nth(4)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_is_its_user_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let here = nix::unistd::geteuid().as_raw();
        let client = TcpStream::connect(address).unwrap();
        let (served, _) = listener.accept().unwrap();
        assert!(is_of(here, &served));
        assert!(!is_of(here + 1, &served));
        drop(client);
    }

    #[test]
    fn a_table_without_the_socket_has_no_owner() {
        let ends = ["0100007F:9C40".to_owned(), "0100007F:1309".to_owned()];
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let line = "   0: 0100007F:9C40 0100007F:1309 01 00000000:00000000 00:00000000 00000000   998        0 4711\n";
        assert_eq!(owner(&format!("{head}{line}"), &ends), Some(998));
        for text in ["", head, &format!("{head}{}", line.replace("9C40", "9C41")), &format!("{head}0: x\n")] {
            assert_eq!(owner(text, &ends), None, "{text}");
        }
    }
}
