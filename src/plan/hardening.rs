//! How units are confined: one list for all, each line with the units that it is for. Data only; the planner writes the
//! service's unit with it, and the machine the transient ones.

use Confined::{Child, Migration, Service};

/// What a unit runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// A service, as long as the machine runs.
    Service,
    /// A release's migration: a transient unit that works on the service's data as the service.
    Migration,
    /// A child that fetches, unpacks, checks out, installs or builds: a transient unit that reads what others wrote.
    Child,
}

const ALL: &[Confined] = &[Service, Migration, Child];
/// They are the service's own code: its sockets, its files, its limits.
const OF_THE_SERVICE: &[Confined] = &[Service, Migration];
const TRANSIENT: &[Confined] = &[Migration, Child];

/// `MemoryDenyWriteExecute` is absent because it kills V8's JIT, and AF_NETLINK is allowed because
/// `os.networkInterfaces()` needs it. A child's socket families depend on what it does, and stand with it.
const LINES: &[(&[Confined], &str)] = &[
    (ALL, "NoNewPrivileges=yes"),
    (ALL, "CapabilityBoundingSet="),
    (ALL, "AmbientCapabilities="),
    (ALL, "PrivateTmp=yes"),
    (ALL, "PrivateDevices=yes"),
    (ALL, "ProtectSystem=strict"),
    // Where everybody may write even under "strict": shared memory, queues, and with some systemd /run.
    (TRANSIENT, "TemporaryFileSystem=/dev/shm:mode=1777"),
    (TRANSIENT, "InaccessiblePaths=-/dev/mqueue"),
    (ALL, "ReadOnlyPaths=/run"),
    // A transient unit says more about homes: this program may stand in one.
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
    // Of a migration it would take the running service's, too: both are of one user.
    (&[Service], "RemoveIPC=yes"),
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

/// What must not cost the running generation its memory, processor or disk: children, and a candidate. A
/// migration does not yield: killed half-way it leaves its data half changed, and the service may wait for a lock that it
/// holds.
pub const YIELDS: [&str; 3] = ["OOMScoreAdjust=500", "CPUWeight=50", "IOWeight=50"];

/// It needs the kernel's cgroup BPF, and some kernels accept it without effect: what runs other people's code proves
/// first, by a connection attempt, that it holds.
pub const NO_IMDS: &str = "IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128";

/// The lines of a unit, in the order in which they are written.
pub fn hardening(of: Confined) -> impl Iterator<Item = &'static str> {
    let yields: &[&str] = if of == Child { &YIELDS } else { &[] };
    let lines = LINES.iter().filter(move |(units, _)| units.contains(&of)).map(|(_, line)| *line);
    lines.chain(yields.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_unit_says_a_thing_twice() {
        for of in ALL {
            let mut names: Vec<&str> = hardening(*of).filter_map(|line| line.split('=').next()).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{of:?}");
        }
    }

    #[test]
    fn what_differs_differs_for_its_reason_only() {
        let lines = |of| hardening(of).collect::<Vec<_>>();
        assert!(lines(Service).contains(&"UMask=0077") && lines(Migration).contains(&"UMask=0077"));
        assert!(lines(Child).contains(&"UMask=0022"), "other users read a release");
        assert!(lines(Child).contains(&"CPUWeight=50"));
        for of in [Service, Migration] {
            assert!(!lines(of).iter().any(|line| YIELDS.contains(line)), "{of:?} yields");
        }
        for shared in ["NoNewPrivileges=yes", "ProtectSystem=strict", "SystemCallFilter=@system-service"] {
            assert!(ALL.iter().all(|of| lines(*of).contains(&shared)), "{shared}");
        }
    }
}
