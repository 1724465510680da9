//! Who listens on a port: the gate must not be satisfied by somebody else's answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A listening TCP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    inode: u64,
}

/// Everybody who listens on the port.
pub fn listeners(port: u16) -> Vec<Listener> {
    all().into_iter().filter(|listener| listener.address.port() == port).collect()
}

fn all() -> Vec<Listener> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(listener).collect::<Vec<_>>())
        .collect()
}

/// The ports on which processes of the control group listen.
pub fn ports_of(cgroup: &str) -> BTreeSet<u16> {
    let held = held(cgroup);
    let own = |listener: &Listener| held.contains(&link(listener));
    all().iter().filter(|listener| own(listener)).map(|listener| listener.address.port()).collect()
}

/// One line of /proc/net/tcp: `sl local_address rem_address st ... inode`.
fn listener(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, state, inode) = (*fields.get(1)?, *fields.get(3)?, fields.get(9)?.parse().ok()?);
    (state == LISTEN).then_some(())?;
    let (ip, port) = address.split_once(':')?;
    Some(Listener { address: SocketAddr::new(ip_address(ip)?, u16::from_str_radix(port, 16).ok()?), inode })
}

/// The kernel prints addresses as 32-bit words in the machine's own byte order.
fn ip_address(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<u32>> =
        (0..hex.len() / 8).map(|at| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()).collect();
    let bytes: Vec<u8> = words?.iter().flat_map(|word| word.to_ne_bytes()).collect();
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => {
            <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

/// Whether a process of the control group holds the socket.
pub fn is_held_by(listener: &Listener, cgroup: &str) -> bool {
    held(cgroup).contains(&link(listener))
}

fn link(listener: &Listener) -> PathBuf {
    PathBuf::from(format!("socket:[{}]", listener.inode))
}

/// What the processes of a control group have open.
fn held(cgroup: &str) -> BTreeSet<PathBuf> {
    let open = |pid: &u32| std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    processes(cgroup)
        .iter()
        .flat_map(open)
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect()
}

/// The processes of a control group and of those below it. Where the hierarchies are mixed,
/// systemd's own is the named one.
fn processes(cgroup: &str) -> BTreeSet<u32> {
    let mut pids = BTreeSet::new();
    if cgroup.len() > 1 {
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"] {
            collect(&Path::new(root).join(cgroup.trim_start_matches('/')), &mut pids, 0);
        }
    }
    pids
}

fn collect(directory: &Path, pids: &mut BTreeSet<u32>, depth: usize) {
    const DEEPEST: usize = 8;
    if let Ok(text) = std::fs::read_to_string(directory.join("cgroup.procs")) {
        pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if depth < DEEPEST {
            collect(&entry.path(), pids, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let line = "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        let found = listener(line).unwrap();
        assert_eq!((found.address.to_string().as_str(), found.inode), ("127.0.0.1:3000", 4711));
        let connected = line.replace(" 0A ", " 01 ");
        assert_eq!(listener(&connected), None);
        assert_eq!(listener("garbage"), None);
        assert_eq!(ip_address("00000000000000000000000000000000").unwrap().to_string(), "::");
    }

    #[test]
    fn a_real_listener_is_seen_on_its_port_only() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(listeners(port).len(), 1, "the listener on {port} was not found");
        drop(socket);
        assert!(listeners(port).is_empty(), "a closed listener on {port} was found");
    }
}
