//! The processes of a control group, and the little that a health check reads of them. Reads only.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

/// Those of cgroup v2, the hybrid layout, and v1's systemd hierarchy that this machine has. systemd mounts them before all else.
static ROOTS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let all = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
    all.into_iter().filter(|root| Path::new(root).is_dir()).collect()
});

/// The processes of a control group and of the groups below it.
pub fn processes(cgroup: &str) -> BTreeSet<u32> {
    let mut pids = BTreeSet::new();
    if cgroup.len() > 1 {
        for root in ROOTS.iter() {
            collect(&Path::new(root).join(cgroup.trim_start_matches('/')), &mut pids, 0);
        }
    }
    pids
}

fn collect(directory: &Path, pids: &mut BTreeSet<u32>, depth: usize) {
    /// Services create few levels below their own group; one that nests groups without end must not stop the run.
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

/// The ports that the variable PORT names in the environments with which the processes were started. Nothing else of the
/// environments, which have secret values, leaves this function.
pub fn ports_named(cgroup: &str) -> BTreeSet<u16> {
    processes(cgroup).iter().filter_map(|pid| port_in(&read(*pid, "environ"))).collect()
}

fn port_in(environment: &[u8]) -> Option<u16> {
    let value = environment.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"PORT="))?;
    std::str::from_utf8(value).ok()?.trim().parse().ok().filter(|port| *port != 0)
}

/// The arguments of a process, its program first.
pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = read(pid, "cmdline");
    let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<String> = words.collect();
    // The last argument ends with a NUL, too.
    if words.last().is_some_and(String::is_empty) {
        words.pop();
    }
    words
}

/// What the kernel says of a process: its parent, and whether children of it have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub parent: u32,
    pub has_ended_children: bool,
}

pub fn family(pid: u32) -> Option<Family> {
    parse(&String::from_utf8_lossy(&read(pid, "stat")))
}

/// proc_pid_stat(5). The program's name, in parentheses, may have blanks and parentheses itself. A child that ran at all
/// had page faults; the kernel adds them to its parent's `cminflt` when the parent waits for it.
fn parse(stat: &str) -> Option<Family> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let faults_of_children: u64 = fields.nth(6)?.parse().ok()?;
    Some(Family { parent, has_ended_children: faults_of_children > 0 })
}

/// A file of a process in /proc; empty if the process has ended.
fn read(pid: u32, what: &str) -> Vec<u8> {
    /// An environment has at most the bytes of a secret and of the manifest's variables, and a command line is shorter.
    const LONGEST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/{what}")) {
        // What was read before an error is enough.
        let _ = file.take(LONGEST).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_is_taken_from_an_environment() {
        for (environment, port) in [
            (&b"A=b\0PORT=3000\0C=d\0"[..], Some(3000)),
            (b"PORT= 3000\n\0", Some(3000)),
            (b"XPORT=1\0SPORT=2\0", None),
            (b"PORT=/run/x.sock\0", None),
            (b"PORT=0\0", None),
            (b"PORT=70000\0", None),
            (b"PORT=\xff\0", None),
            (b"", None),
        ] {
            assert_eq!(port_in(environment), port, "{environment:?}");
        }
    }

    #[test]
    fn a_parent_and_ended_children_are_read_behind_any_program_name() {
        let stat = |faults: u64| format!("17 (a) S (b 9) S 5 17 17 0 -1 4194560 100 {faults} 0 0 1 1 0 0\n");
        assert_eq!(parse(&stat(0)), Some(Family { parent: 5, has_ended_children: false }));
        assert_eq!(parse(&stat(40)), Some(Family { parent: 5, has_ended_children: true }));
        for broken in ["", "17 (x) S", "17 (x) S y 1 1 1 1 1 1 1"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_process_is_known_to_have_waited_for_a_child() {
        let own = std::process::id();
        assert_eq!(family(own).unwrap().parent, nix::unistd::getppid().as_raw() as u32);
        assert!(std::process::Command::new("true").status().unwrap().success());
        assert!(family(own).unwrap().has_ended_children);
        assert_eq!(arguments(own), std::env::args().collect::<Vec<_>>());
        assert!(family(u32::MAX).is_none() && arguments(u32::MAX).is_empty());
    }
}
