//! The hardening directives of all units: one list, each line with the kinds of unit that get it. Data only; the
//! planner writes them into the service's unit, and `machine` into transient units.

use Confined::{Child, Migration, Service};

/// What a hardened unit runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// The service, or a candidate of it.
    Service,
    /// A migration: a transient unit that runs as the service's user and writes the service's data.
    Migration,
    /// A fetch, checkout, unpacking, install or build: a transient unit that processes untrusted input.
    Child,
}

const ALL: &[Confined] = &[Service, Migration, Child];
/// Units that run the service's own code, and so need its sockets, umask and limits.
const OF_THE_SERVICE: &[Confined] = &[Service, Migration];
const TRANSIENT: &[Confined] = &[Migration, Child];

/// `MemoryDenyWriteExecute=` is absent because V8's JIT crashes with it. AF_NETLINK is allowed because
/// `os.networkInterfaces()` of Node needs it. `machine` adds `RestrictAddressFamilies=` for each kind of child.
const LINES: &[(&[Confined], &str)] = &[
    (ALL, "NoNewPrivileges=yes"),
    (ALL, "CapabilityBoundingSet="),
    (ALL, "AmbientCapabilities="),
    (ALL, "PrivateTmp=yes"),
    (ALL, "PrivateDevices=yes"),
    (ALL, "ProtectSystem=strict"),
    // World-writable even with ProtectSystem=strict: shared memory, message queues, and /run with some versions of
    // systemd. A build could leave files there for the service or for root.
    (TRANSIENT, "TemporaryFileSystem=/dev/shm:mode=1777"),
    (TRANSIENT, "InaccessiblePaths=-/dev/mqueue"),
    (ALL, "ReadOnlyPaths=/run"),
    // `machine` sets it for transient units, which need access to the bootagent binary even below /home or /root.
    (&[Service], "ProtectHome=yes"),
    (ALL, "ProtectKernelTunables=yes"),
    (ALL, "ProtectKernelModules=yes"),
    (ALL, "ProtectKernelLogs=yes"),
    (ALL, "ProtectControlGroups=yes"),
    (ALL, "ProtectClock=yes"),
    (ALL, "ProtectHostname=yes"),
    (ALL, "ProtectProc=invisible"),
    (ALL, "RestrictRealtime=yes"),
    (ALL, "RestrictSUIDSGID=yes"),
    (ALL, "RestrictNamespaces=yes"),
    (OF_THE_SERVICE, "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    (ALL, "LockPersonality=yes"),
    // Not for a migration: it has the same user as the running service, whose IPC objects would be removed, too.
    (&[Service], REMOVE_IPC),
    (ALL, "SystemCallArchitectures=native"),
    (ALL, "SystemCallFilter=@system-service"),
    (ALL, "SystemCallErrorNumber=EPERM"),
    (OF_THE_SERVICE, "UMask=0077"),
    (&[Child], "UMask=0022"),
    (ALL, "LimitCORE=0"),
    (OF_THE_SERVICE, "LimitNOFILE=65536"),
    (OF_THE_SERVICE, "TasksMax=4096"),
    (&[Child], "TasksMax=1024"),
    (&[Service], "OOMPolicy=stop"),
    (TRANSIENT, "KillMode=control-group"),
    (TRANSIENT, "TimeoutStopSec=5"),
    (TRANSIENT, "Slice=system.slice"),
];

/// The directive for a unit that opens a port below 1024. Its user is not root, and gets this one capability.
pub fn opening_low_ports(line: &'static str) -> &'static str {
    match line {
        "CapabilityBoundingSet=" => "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "AmbientCapabilities=" => "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        other => other,
    }
}

/// Removes the shared memory of the unit's user when the unit stops, so that it is not for one of several units of a user.
pub const REMOVE_IPC: &str = "RemoveIPC=yes";

/// For children and candidates, so that the serving deployment keeps its memory, CPU and disk. Not for migrations: the
/// OOM killer would leave the data half migrated, and the service may wait for a lock that a slow migration has.
pub const LOW_PRIORITY: [&str; 3] = ["OOMScoreAdjust=500", "CPUWeight=50", "IOWeight=50"];

/// Needs cgroup BPF in the kernel. Some kernels accept it without effect; so each unit that runs code of the repository
/// first tests, by a connection attempt, that IMDS does not answer.
pub const NO_IMDS: &str = "IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128";

/// The directives of a unit, in the order in which they are written.
pub fn hardening(of: Confined) -> impl Iterator<Item = &'static str> {
    let low_priority: &[&str] = if of == Child { &LOW_PRIORITY } else { &[] };
    let lines = LINES.iter().filter(move |(units, _)| units.contains(&of)).map(|(_, line)| *line);
    lines.chain(low_priority.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_unit_sets_a_directive_twice() {
        for of in ALL {
            let mut names: Vec<&str> = hardening(*of).filter_map(|line| line.split('=').next()).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{of:?}");
        }
    }

    #[test]
    fn units_differ_only_where_they_must() {
        let lines = |of| hardening(of).collect::<Vec<_>>();
        assert!(lines(Service).contains(&"UMask=0077") && lines(Migration).contains(&"UMask=0077"));
        assert!(lines(Child).contains(&"UMask=0022"), "other users read a release");
        assert!(lines(Child).contains(&"CPUWeight=50"));
        for of in [Service, Migration] {
            assert!(!lines(of).iter().any(|line| LOW_PRIORITY.contains(line)), "{of:?} has low priority");
        }
        for shared in ["NoNewPrivileges=yes", "ProtectSystem=strict", "SystemCallFilter=@system-service"] {
            assert!(ALL.iter().all(|of| lines(*of).contains(&shared)), "{shared}");
        }
    }
}
