//! Which processes listen on a TCP port, and to which of their sockets the kernel gives a connection: the health check
//! must not pass because another process answers. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::cgroup;

/// A listening TCP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// As it was bound. `::ffff:127.0.0.1` is an IPv6 socket for one IPv4 address; `::` may accept IPv4, too.
    pub address: SocketAddr,
    inode: u64,
    /// Connections that the kernel completed, and that no process has accepted yet.
    pub unaccepted: u32,
}

impl Listener {
    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    #[cfg(test)]
    pub fn at(address: SocketAddr) -> Listener {
        Listener { address, inode: 0, unaccepted: 0 }
    }
}

/// The sockets that listen on one port.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Open in processes of the unit.
    pub own: Vec<Listener>,
    /// Of all other processes.
    pub foreign: Vec<Listener>,
}

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub program: String,
    /// The systemd unit that the process belongs to.
    pub unit: Option<String>,
}

/// The process that has a listening socket open; if there are several (a server with workers), the lowest pid.
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

/// The process's name. A process can set its own name to any bytes: only printable ASCII is shown.
fn program(comm: &str) -> String {
    let plain: String = comm.trim().chars().filter(|c| c.is_ascii_graphic()).collect();
    if plain.is_empty() { "a program without a name".to_owned() } else { plain }
}

/// The innermost unit in the cgroup path of systemd's hierarchy: `0::/system.slice/nginx.service`.
fn unit(cgroups: &str) -> Option<String> {
    let of_systemd = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let is_unit = |part: &&str| [".service", ".scope", ".socket"].iter().any(|end| part.ends_with(end));
    let found = cgroups.lines().filter(of_systemd).find_map(|line| line.rsplit('/').find(is_unit))?;
    let plain = found.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
    Some(plain)
}

/// All sockets that listen on the port; those of processes in the control group are `own`.
pub fn listeners(port: u16, cgroup: &str) -> Listeners {
    let mut listeners = table::listening();
    listeners.retain(|listener| listener.address.port() == port);
    let open = open_of(&listeners, cgroup);
    let (own, foreign) = listeners.into_iter().partition(|listener| open.contains(&listener.inode));
    Listeners { own, foreign }
}

/// Of the socket that is bound to this very address, whichever process has it.
#[cfg(test)]
pub fn unaccepted_at(address: SocketAddr) -> u32 {
    table::listening().iter().filter(|one| one.address == address).map(|one| one.unaccepted).sum()
}

impl Listeners {
    /// An address at which only the unit's own sockets can answer, else (`Err`) the foreign socket that would answer
    /// there instead or as well. `Ok(None)` if the unit does not listen.
    pub fn own_address(&self, ipv6_loopback: bool) -> Result<Option<SocketAddr>, &Listener> {
        let mut addresses: Vec<SocketAddr> =
            self.own.iter().map(|own| probe_address(own.address, ipv6_loopback)).collect();
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

    /// A foreign socket that could get a connection to this address: it fits better than each of the unit's own, or
    /// equally well. Equally well means SO_REUSEPORT, with which the kernel gives the connection to either.
    fn intruder(&self, asked: IpAddr) -> Option<&Listener> {
        let own = self.own.iter().map(|own| precision(own.address.ip(), asked)).max()?;
        self.foreign.iter().find(|foreign| {
            let theirs = precision(foreign.address.ip(), asked);
            theirs > 0 && theirs >= own
        })
    }
}

/// The address that the unit's socket is bound to which answers at the probed one. `[::1]` for a service that listens on all
/// addresses would look as if nothing outside of the machine reached it.
pub fn bound(own: &[Listener], probed: SocketAddr) -> SocketAddr {
    let fits =
        |own: &&Listener| own.address.port() == probed.port() && precision(own.address.ip(), probed.ip()) > 0;
    let best = own.iter().filter(fits).max_by_key(|own| precision(own.address.ip(), probed.ip()));
    best.map_or(probed, |own| own.address)
}

/// Where to probe a socket: at the address that it is bound to, or for a wildcard at the loopback address of the same
/// family. On a machine without an IPv6 address `::` is probed by IPv4, which it accepts unless IPV6_V6ONLY is set.
fn probe_address(bound: SocketAddr, ipv6_loopback: bool) -> SocketAddr {
    let ip = match bound.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() && ipv6_loopback => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// How well a listening socket fits an address: the kernel gives a connection to the best fit. 0 means that the socket
/// does not accept it. An exact address fits better than a wildcard, and for IPv4 an IPv4 socket better than an IPv6
/// one.
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

/// Whether `::1` is an address of this machine. With `net.ipv6.conf.lo.disable_ipv6` it is not, although IPv6 sockets
/// can be opened.
pub fn has_ipv6_loopback() -> bool {
    let loopback = format!("{:032x}", u128::from(Ipv6Addr::LOCALHOST));
    let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    addresses.lines().any(|line| line.starts_with(&loopback))
}

/// The listening sockets of a process's network namespace, such as a container's.
pub fn listening_in(pid: u32) -> Vec<Listener> {
    table::listening_in(pid)
}

/// The ports on which processes of the control group listen.
pub fn ports_of(cgroup: &str) -> BTreeSet<u16> {
    all_own(cgroup).iter().map(|listener| listener.address.port()).collect()
}

/// The listening sockets of the control group's processes, on all ports.
pub fn all_own(cgroup: &str) -> Vec<Listener> {
    let mut listeners = table::listening();
    let open = open_of(&listeners, cgroup);
    listeners.retain(|listener| open.contains(&listener.inode));
    listeners
}

/// The target of a socket's link in `/proc/PID/fd`.
fn link(listener: &Listener) -> PathBuf {
    PathBuf::from(format!("socket:[{}]", listener.inode))
}

/// The inodes of those sockets that a process of the control group has open. Stops early if all of them are the service's, as those
/// of its port usually are: a service may have thousands of connections, and is looked at twice a second.
fn open_of(sockets: &[Listener], cgroup: &str) -> BTreeSet<u64> {
    let mut wanted: BTreeMap<PathBuf, u64> =
        sockets.iter().map(|socket| (link(socket), socket.inode)).collect();
    let mut open = BTreeSet::new();
    if wanted.is_empty() {
        return open;
    }
    for pid in cgroup::processes(cgroup) {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            open.extend(wanted.remove(&target));
            if wanted.is_empty() {
                return open;
            }
        }
    }
    open
}

mod table;
#[cfg(test)]
mod tests;
