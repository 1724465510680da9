//! Whose socket answers on a port: the service's own and others', in both address families.

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
    let listener = |address: &&str| Listener { address: address.parse().unwrap(), inode: 0 };
    addresses.iter().map(listener).collect()
}

/// The address that is asked, or the foreign one that is named.
fn chosen(own: &[&str], foreign: &[&str], ipv6_loopback: bool) -> Result<String, String> {
    let listeners = Listeners { own: at(own), foreign: at(foreign) };
    match listeners.own_address(ipv6_loopback) {
        Ok(address) => Ok(address.unwrap().to_string()),
        Err(foreign) => Err(foreign.address.to_string()),
    }
}

#[test]
fn a_socket_is_asked_in_its_own_family() {
    for (own, foreign, asked) in [
        (&["0.0.0.0:1"][..], &[][..], "127.0.0.1:1"),
        (&["10.1.2.3:1"], &["127.0.0.1:1", "[::1]:1"], "10.1.2.3:1"),
        (&["[::]:1"], &[], "[::1]:1"),
        (&["[::]:1"], &["0.0.0.0:1", "127.0.0.1:1"], "[::1]:1"),
        (&["[::1]:1"], &["127.0.0.1:1", "0.0.0.0:1"], "[::1]:1"),
        (&["0.0.0.0:1"], &["[::]:1", "[::1]:1"], "127.0.0.1:1"),
        (&["[::ffff:127.0.0.1]:1"], &["[::]:1", "[::1]:1"], "127.0.0.1:1"),
        (&["[::ffff:0.0.0.0]:1"], &["[::1]:1"], "127.0.0.1:1"),
        // One of two is enough, if no other process is asked in its place.
        (&["127.0.0.1:1", "[::1]:1"], &["0.0.0.0:1"], "127.0.0.1:1"),
        (&["0.0.0.0:1", "[::1]:1"], &["127.0.0.1:1"], "[::1]:1"),
        (&["[fe80::1]:1", "[::]:1"], &[], "[::1]:1"),
    ] {
        assert_eq!(chosen(own, foreign, true).as_deref(), Ok(asked), "{own:?} {foreign:?}");
    }
    // A second socket of the unit's does not make it foreign.
    assert_eq!(chosen(&["0.0.0.0:1", "0.0.0.0:1"], &[], true).as_deref(), Ok("127.0.0.1:1"));
}

#[test]
fn who_would_answer_instead_is_named() {
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
fn without_an_ipv6_loopback_ipv4_is_asked_unless_another_process_is_there() {
    assert_eq!(chosen(&["[::]:1"], &[], false).as_deref(), Ok("127.0.0.1:1"));
    for foreign in ["0.0.0.0:1", "127.0.0.1:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(chosen(&["[::]:1"], &[foreign], false), Err(foreign.to_owned()));
    }
    // It is the unit's own word where nothing is said of addresses.
    assert_eq!(chosen(&["0.0.0.0:1"], &[], false).as_deref(), Ok("127.0.0.1:1"));
}

/// What a socket can be bound to, and whether IPv6 only.
const BOUND: &[(&str, bool)] = &[
    ("0.0.0.0", false),
    ("127.0.0.1", false),
    ("::", false),
    ("::", true),
    ("::1", true),
    ("::ffff:127.0.0.1", false),
    ("::ffff:0.0.0.0", false),
];

/// A listening socket that shares its port with all others of this user; `None` where the kernel does not let it.
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

/// Which of the two is given a connection to this address.
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
        assert!(Instant::now() < until, "neither was given the connection to {address}");
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

/// The kernel is the judge: of each pair of sockets that it allows, the address that is chosen reaches the unit's own,
/// and where the other is named, that is reached: now and then, or if it was there first.
#[test]
fn the_kernel_hands_the_connection_to_whom_it_is_expected() {
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
                    assert!(all, "{own:?} beside {foreign:?}: {address} is answered by the other");
                    own_answers += 1;
                }
                Err(_) => {
                    let address = asked_at(listeners.own[0].address, true);
                    named = true;
                    reached |= (0..64).any(|_| !answers(address));
                }
            }
        }
        // The kernel's table does not tell that a `::` is for IPv6 only: then it is named for nothing, which is the
        // safe side. Node, Python and Java never bind `::ffff:0.0.0.0` by themselves.
        let untold = own.0 == "::ffff:0.0.0.0" && foreign == ("::", true);
        assert!(
            reached || !named || untold,
            "{own:?} beside {foreign:?}: the other is never given a connection"
        );
        foreign_answers += usize::from(named);
    }
    assert!(own_answers > 10 && foreign_answers > 5, "{own_answers} and {foreign_answers} pairs");
}
