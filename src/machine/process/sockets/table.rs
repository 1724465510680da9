//! Lists the listening TCP sockets, with sock_diag(7), which walks listening sockets only. Where the kernel has no
//! `tcp_diag`, this reads `/proc/net/tcp`, for which the kernel walks its whole connection table (10 ms on a machine
//! with 24 GiB). `sockets.rs` decides what the sockets mean for a service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::Listener;

/// All listening TCP sockets of this network namespace.
pub fn listening() -> Vec<Listener> {
    // The kernel puts no more than 8 KiB, or as much as there is room for, into one datagram.
    let mut buffer = vec![0; 16 << 10];
    [Family::V4, Family::V6]
        .into_iter()
        .flat_map(|family| sock_diag(family, &mut buffer).unwrap_or_else(|| proc_net_tcp(family)))
        .collect()
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

/// From linux/netlink.h, linux/sock_diag.h and net/tcp_states.h.
const REQUEST_DUMP: u16 = 0x301;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const DONE: u16 = 3;
const TCP: u8 = 6;
const STATES_LISTEN: u32 = 1 << 10;
const HEADER: usize = 16;

/// Bounds memory and time, should the kernel's answer not end. Real machines have some hundred listening sockets.
const MOST: usize = 100_000;

/// The family's listening sockets from sock_diag; `None` if the kernel does not answer as documented.
fn sock_diag(family: Family, buffer: &mut [u8]) -> Option<Vec<Listener>> {
    let socket = ask(family)?;
    let mut found = Vec::new();
    while found.len() < MOST {
        let length = recv(socket.as_raw_fd(), buffer, MsgFlags::empty()).ok().filter(|length| *length > 0)?;
        let mut rest = buffer.get(..length)?;
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                SOCK_DIAG_BY_FAMILY => found.push(socket_of(body, family)?),
                // The last message has a status; a negative one means that the dump is incomplete.
                DONE => return (word(body, 0)? == 0).then_some(found),
                _ => return None,
            }
            rest = next;
        }
    }
    None
}

/// Sends a `nlmsghdr` and an `inet_diag_req_v2` that ask for the family's listening TCP sockets. Returns the socket
/// from which to read the answer.
fn ask(family: Family) -> Option<OwnedFd> {
    let protocol = SockProtocol::NetlinkSockDiag;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).ok()?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(2)).ok()?;
    let family = match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    let mut request = [0; 72];
    let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &72_u32.to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &REQUEST_DUMP.to_ne_bytes());
    put(HEADER, &[u8::try_from(family as i32).ok()?, TCP]);
    put(HEADER + 4, &STATES_LISTEN.to_ne_bytes());
    send(socket.as_raw_fd(), &request, MsgFlags::empty()).ok()?;
    Some(socket)
}

/// The first message of a datagram: its type, its body, and the rest of the datagram. Messages are aligned to 4 bytes.
fn message(datagram: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(word(datagram, 0)?).ok()?;
    let kind = datagram.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    let next = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, datagram.get(HEADER..length)?, next))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// An `inet_diag_msg`: port and address in the network's byte order, then the length of the accept queue (of a listening
/// socket it is `idiag_rqueue`), and the inode as its last word.
fn socket_of(body: &[u8], family: Family) -> Option<Listener> {
    let port = body.get(4..6)?.try_into().ok().map(u16::from_be_bytes)?;
    let ip: IpAddr = match family {
        Family::V4 => <[u8; 4]>::try_from(body.get(8..12)?).ok()?.into(),
        Family::V6 => <[u8; 16]>::try_from(body.get(8..24)?).ok()?.into(),
    };
    let (unaccepted, inode) = (word(body, 56)?, word(body, 68)?.into());
    Some(Listener { address: SocketAddr::new(ip, port), inode, unaccepted })
}

/// All listening TCP sockets of a process's network namespace. By /proc: sock_diag answers for the asker's namespace.
pub fn listening_in(pid: u32) -> Vec<Listener> {
    [Family::V4, Family::V6].into_iter().flat_map(|family| table_of(&pid.to_string(), family)).collect()
}

fn proc_net_tcp(family: Family) -> Vec<Listener> {
    table_of("self", family)
}

fn table_of(process: &str, family: Family) -> Vec<Listener> {
    let table = match family {
        Family::V4 => format!("/proc/{process}/net/tcp"),
        Family::V6 => format!("/proc/{process}/net/tcp6"),
    };
    let text = std::fs::read_to_string(table).unwrap_or_default();
    text.lines().skip(1).filter_map(listener).collect()
}

/// One line of /proc/net/tcp: `sl local_address rem_address st tx_queue:rx_queue ... inode`.
fn listener(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, state, inode) = (*fields.get(1)?, *fields.get(3)?, fields.get(9)?.parse().ok()?);
    (state == LISTEN).then_some(())?;
    let (ip, port) = address.split_once(':')?;
    let address = SocketAddr::new(ip_address(ip)?, u16::from_str_radix(port, 16).ok()?);
    let unaccepted = u32::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?;
    Some(Listener { address, inode, unaccepted })
}

/// The kernel prints an address as 32-bit words in the byte order of the machine.
fn ip_address(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<u32>> =
        (0..hex.len() / 8).map(|at| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()).collect();
    let bytes: Vec<u8> = words?.iter().flat_map(|word| word.to_ne_bytes()).collect();
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
