//! Who listens on a port, and whose socket the kernel hands a connection to: the gate must not be satisfied by
//! another process's answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A listening TCP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// As it was bound: `::ffff:127.0.0.1` is an IPv6 socket for one IPv4 address, and `::` perhaps for both families.
    pub address: SocketAddr,
    inode: u64,
}

/// The sockets that listen on one port.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Held by processes of the unit.
    pub own: Vec<Listener>,
    pub foreign: Vec<Listener>,
}

/// Who has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub program: String,
    /// systemd's, where the process is in one.
    pub unit: Option<String>,
}

/// The process that holds a listening socket; the first of several, as of a server with workers.
pub fn holder(listener: &Listener) -> Option<Holder> {
    let wanted = link(listener);
    let numbers = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids: Vec<u32> = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let pid = pids.into_iter().find(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.into_iter().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == wanted))
    })?;
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    Some(Holder { pid, program: program(&read("comm")), unit: unit(&read("cgroup")) })
}

/// Its own word for itself: any bytes.
fn program(comm: &str) -> String {
    let plain: String = comm.trim().chars().filter(|c| c.is_ascii_graphic()).collect();
    if plain.is_empty() { "a program without a name".to_owned() } else { plain }
}

/// The innermost unit in the path of systemd's own hierarchy, `0::/system.slice/nginx.service`.
fn unit(cgroups: &str) -> Option<String> {
    let of_systemd = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let is_unit = |part: &&str| [".service", ".scope", ".socket"].iter().any(|end| part.ends_with(end));
    let found = cgroups.lines().filter(of_systemd).find_map(|line| line.rsplit('/').find(is_unit))?;
    let plain = found.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
    Some(plain)
}

/// All that listen on the port, and which of them are the control group's.
pub fn listeners(port: u16, cgroup: &str) -> Listeners {
    let listeners = table::listening().into_iter().filter(|listener| listener.address.port() == port);
    let held = held(cgroup);
    let (own, foreign) = listeners.partition(|listener| held.contains(&link(listener)));
    Listeners { own, foreign }
}

impl Listeners {
    /// An address at which only one of the unit's own sockets can answer, or the foreign socket that answers there
    /// instead or as well. Only for a unit that listens.
    pub fn own_address(&self, ipv6_loopback: bool) -> Result<Option<SocketAddr>, &Listener> {
        let mut addresses: Vec<SocketAddr> =
            self.own.iter().map(|own| asked_at(own.address, ipv6_loopback)).collect();
        addresses.sort_by_key(|address| !address.ip().is_loopback());
        let mut intruder = None;
        for address in addresses {
            match self.intruder(address.ip()) {
                None => return Ok(Some(address)),
                found => intruder = intruder.or(found),
            }
        }
        intruder.map_or(Ok(None), Err)
    }

    /// Two sockets of one precision share the address by SO_REUSEPORT: then either may be given a connection.
    fn intruder(&self, asked: IpAddr) -> Option<&Listener> {
        let own = self.own.iter().map(|own| precision(own.address.ip(), asked)).max()?;
        self.foreign.iter().find(|foreign| {
            let theirs = precision(foreign.address.ip(), asked);
            theirs > 0 && theirs >= own
        })
    }
}

/// Where a socket is asked: in the family that it is bound to, a wildcard at that family's loopback address. A machine
/// may have IPv6 sockets and no IPv6 address: then IPv4 is tried, which `::` takes unless it is told not to.
fn asked_at(bound: SocketAddr, ipv6_loopback: bool) -> SocketAddr {
    let ip = match bound.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() && ipv6_loopback => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// How well a listening socket fits an address: the kernel gives a connection to the one that fits best. 0: not at
/// all. The exact address counts before a wildcard, and for IPv4 a socket of that family before one of IPv6's.
fn precision(bound: IpAddr, asked: IpAddr) -> u8 {
    let wildcard = bound.to_canonical().is_unspecified();
    match (asked, bound) {
        (IpAddr::V4(_), IpAddr::V4(_)) if bound == asked => 4,
        (IpAddr::V4(_), IpAddr::V6(_)) if bound.to_canonical() == asked => 3,
        (IpAddr::V4(_), IpAddr::V4(_)) if wildcard => 2,
        (IpAddr::V4(_), IpAddr::V6(_)) if wildcard => 1,
        (IpAddr::V6(_), IpAddr::V6(_)) if bound == asked => 2,
        (IpAddr::V6(_), IpAddr::V6(ip)) if ip.is_unspecified() => 1,
        _ => 0,
    }
}

/// Whether `::1` is an address of this machine: with `net.ipv6.conf.lo.disable_ipv6` it is not, and IPv6 sockets can
/// be opened all the same.
pub fn has_ipv6_loopback() -> bool {
    let loopback = format!("{:032x}", u128::from(Ipv6Addr::LOCALHOST));
    let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    addresses.lines().any(|line| line.starts_with(&loopback))
}

/// The ports on which processes of the control group listen.
pub fn ports_of(cgroup: &str) -> BTreeSet<u16> {
    let held = held(cgroup);
    let own = |listener: &Listener| held.contains(&link(listener));
    table::listening()
        .iter()
        .filter(|listener| own(listener))
        .map(|listener| listener.address.port())
        .collect()
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

mod table;
#[cfg(test)]
mod tests;
