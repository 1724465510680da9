//! Whose socket answers on a port, the service's or another process's, in both address families.

use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, accept4, bind, listen, setsockopt,
    socket, sockopt,
};

use super::*;

#[test]
fn a_real_listener_is_seen_on_its_port_only() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    assert_eq!(listeners(port, "").foreign.len(), 1, "the listener on {port} was not found");
    drop(socket);
    assert!(listeners(port, "").foreign.is_empty(), "a closed listener on {port} was found");
}

fn at(addresses: &[&str]) -> Vec<Listener> {
    addresses.iter().map(|address| Listener::at(address.parse().unwrap())).collect()
}

/// The address that is probed, or the foreign socket that is reported.
fn chosen(own: &[&str], foreign: &[&str], ipv6_loopback: bool) -> Result<String, String> {
    let listeners = Listeners { own: at(own), foreign: at(foreign) };
    match listeners.own_address(ipv6_loopback) {
        Ok(address) => Ok(address.unwrap().to_string()),
        Err(foreign) => Err(foreign.address.to_string()),
    }
}

#[test]
fn a_socket_is_probed_in_the_family_that_it_is_bound_to() {
    for (own, foreign, asked) in [
        (&["0.0.0.0:1"][..], &[][..], "127.0.0.1:1"),
        (&["10.1.2.3:1"], &["127.0.0.1:1", "[::1]:1"], "10.1.2.3:1"),
        (&["[::]:1"], &[], "[::1]:1"),
        (&["[::]:1"], &["0.0.0.0:1", "127.0.0.1:1"], "[::1]:1"),
        (&["[::1]:1"], &["127.0.0.1:1", "0.0.0.0:1"], "[::1]:1"),
        (&["0.0.0.0:1"], &["[::]:1", "[::1]:1"], "127.0.0.1:1"),
        (&["[::ffff:127.0.0.1]:1"], &["[::]:1", "[::1]:1"], "127.0.0.1:1"),
        (&["[::ffff:0.0.0.0]:1"], &["[::1]:1"], "127.0.0.1:1"),
        // One of two own sockets is enough, if no foreign socket gets its connections.
        (&["127.0.0.1:1", "[::1]:1"], &["0.0.0.0:1"], "127.0.0.1:1"),
        (&["0.0.0.0:1", "[::1]:1"], &["127.0.0.1:1"], "[::1]:1"),
        (&["[fe80::1]:1", "[::]:1"], &[], "[::1]:1"),
    ] {
        assert_eq!(chosen(own, foreign, true).as_deref(), Ok(asked), "{own:?} {foreign:?}");
    }
    // Two sockets of the unit share the address: neither is foreign.
    assert_eq!(chosen(&["0.0.0.0:1", "0.0.0.0:1"], &[], true).as_deref(), Ok("127.0.0.1:1"));
}

#[test]
fn a_foreign_socket_that_would_answer_is_reported() {
    for (own, foreign, named) in [
        (&["0.0.0.0:1"][..], &["127.0.0.1:1"][..], "127.0.0.1:1"),
        (&["0.0.0.0:1"], &["[::ffff:127.0.0.1]:1"], "[::ffff:127.0.0.1]:1"),
        (&["[::]:1"], &["[::1]:1"], "[::1]:1"),
        // SO_REUSEPORT.
        (&["0.0.0.0:1"], &["0.0.0.0:1"], "0.0.0.0:1"),
        (&["[::1]:1"], &["10.0.0.1:1", "[::1]:1"], "[::1]:1"),
        (&["127.0.0.1:1", "[::1]:1"], &["[::1]:1", "127.0.0.1:1"], "127.0.0.1:1"),
        (&["[::ffff:0.0.0.0]:1"], &["[::]:1"], "[::]:1"),
    ] {
        assert_eq!(chosen(own, foreign, true), Err(named.to_owned()), "{own:?} {foreign:?}");
    }
}

#[test]
fn without_an_ipv6_loopback_ipv4_is_probed_unless_another_process_listens_there() {
    assert_eq!(chosen(&["[::]:1"], &[], false).as_deref(), Ok("127.0.0.1:1"));
    for foreign in ["0.0.0.0:1", "127.0.0.1:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(chosen(&["[::]:1"], &[foreign], false), Err(foreign.to_owned()));
    }
    assert_eq!(chosen(&["0.0.0.0:1"], &[], false).as_deref(), Ok("127.0.0.1:1"));
}

/// Addresses to bind a socket to, and whether to set IPV6_V6ONLY.
const BOUND: &[(&str, bool)] = &[
    ("0.0.0.0", false),
    ("127.0.0.1", false),
    ("::", false),
    ("::", true),
    ("::1", true),
    ("::ffff:127.0.0.1", false),
    ("::ffff:0.0.0.0", false),
];

/// A listening socket that shares its port (SO_REUSEPORT); `None` if the kernel refuses.
fn bound((ip, only_ipv6): (&str, bool), port: u16) -> Option<OwnedFd> {
    let address = SocketAddr::new(ip.parse().unwrap(), port);
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None).unwrap();
    setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &only_ipv6).unwrap();
    }
    match address {
        SocketAddr::V4(address) => bind(socket.as_raw_fd(), &SockaddrIn::from(address)),
        SocketAddr::V6(address) => bind(socket.as_raw_fd(), &SockaddrIn6::from(address)),
    }
    .ok()?;
    listen(&socket, Backlog::new(16).unwrap()).ok()?;
    Some(socket)
}

/// Whether the kernel gives a connection to this address to the first of the two sockets.
fn is_answered_by_first(sockets: [&OwnedFd; 2], address: SocketAddr) -> bool {
    let connection = TcpStream::connect_timeout(&address, Duration::from_secs(2)).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        for (index, socket) in sockets.into_iter().enumerate() {
            if let Ok(accepted) = accept4(socket.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                nix::unistd::close(accepted).unwrap();
                drop(connection);
                return index == 0;
            }
        }
        assert!(Instant::now() < until, "neither socket got the connection to {address}");
    }
}

/// Two listening sockets on one port, bound in this order or in the other.
fn both(own: (&str, bool), foreign: (&str, bool), own_first: bool) -> Option<(u16, [OwnedFd; 2])> {
    let any = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = any.local_addr().unwrap().port();
    drop(any);
    let (first, second) = if own_first { (own, foreign) } else { (foreign, own) };
    let (first, second) = (bound(first, port)?, bound(second, port)?);
    Some((port, if own_first { [first, second] } else { [second, first] }))
}

/// Compares `own_address` with the real kernel, for each pair of sockets that it allows: a chosen address always
/// reaches the unit's own socket, and a reported foreign socket does get connections, at least now and then or if it
/// was bound first.
#[test]
fn the_kernel_gives_the_connection_to_the_expected_socket() {
    assert!(has_ipv6_loopback(), "this machine has no ::1");
    let (mut own_answers, mut foreign_answers) = (0, 0);
    for (own, foreign) in BOUND.iter().flat_map(|own| BOUND.iter().map(move |foreign| (*own, *foreign))) {
        let (mut named, mut reached) = (false, false);
        for own_first in [true, false] {
            let Some((port, sockets)) = both(own, foreign, own_first) else { continue };
            let listener = |ip: &str| at(&[&SocketAddr::new(ip.parse().unwrap(), port).to_string()]);
            let listeners = Listeners { own: listener(own.0), foreign: listener(foreign.0) };
            let answers = |address| is_answered_by_first([&sockets[0], &sockets[1]], address);
            match listeners.own_address(true) {
                Ok(address) => {
                    let address = address.unwrap();
                    let all = (0..8).all(|_| answers(address));
                    assert!(all, "{own:?} beside {foreign:?}: the foreign socket answers at {address}");
                    own_answers += 1;
                }
                Err(_) => {
                    let address = probe_address(listeners.own[0].address, true);
                    named = true;
                    reached |= (0..64).any(|_| !answers(address));
                }
            }
        }
        // The list of sockets does not show IPV6_V6ONLY: such a `::` is reported although it gets no IPv4 connection,
        // which is the safe side. Node, Python and Java never bind `::ffff:0.0.0.0` by themselves.
        let is_false_alarm = own.0 == "::ffff:0.0.0.0" && foreign == ("::", true);
        assert!(
            reached || !named || is_false_alarm,
            "{own:?} beside {foreign:?}: the foreign socket never gets a connection"
        );
        foreign_answers += usize::from(named);
    }
    assert!(own_answers > 10 && foreign_answers > 5, "{own_answers} and {foreign_answers} pairs");
}

#[test]
fn a_service_on_all_addresses_is_not_told_to_listen_on_loopback() {
    for (own, probed, told) in [
        (&["[::]:3000"][..], "[::1]:3000", "[::]:3000"),
        (&["[::]:3000"], "127.0.0.1:3000", "[::]:3000"),
        (&["0.0.0.0:3000"], "127.0.0.1:3000", "0.0.0.0:3000"),
        (&["127.0.0.1:3000"], "127.0.0.1:3000", "127.0.0.1:3000"),
        (&["[::1]:3000", "10.0.0.1:3000"], "[::1]:3000", "[::1]:3000"),
        (&["0.0.0.0:4000", "127.0.0.1:3000", "0.0.0.0:3000"], "127.0.0.1:3000", "127.0.0.1:3000"),
    ] {
        let own: Vec<Listener> = own.iter().map(|address| Listener::at(address.parse().unwrap())).collect();
        assert_eq!(super::bound(&own, probed.parse().unwrap()).to_string(), told, "{own:?}");
    }
}
