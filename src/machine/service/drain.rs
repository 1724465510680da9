//! Ends a service: `ExecStop=` of every service's unit.
//!
//! Each program of the service gets SIGTERM once, and the time to finish, also where a shell or a package manager is the
//! unit's main process. systemd alone can't do that: `KillMode=mixed` signals the main process only, a shell that ends
//! without its children; `control-group` signals what is left a second time as soon as the main process is gone, which
//! ends a service that handles the first signal only; and it ends `cat` in `node server.js | cat`, so that the service's
//! last lines break its pipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The role's name: `bootagent __child drain`.
pub const DRAIN: &str = "drain";

/// What the service has to finish. A little less than the unit's `TimeoutStopSec=`, which systemd grants twice: to this
/// program, and to what is left when it has ended.
const LONGEST: Duration = Duration::from_secs(28);
/// When the main process is gone already, nothing is left but what it forgot; and what reads from a program that has
/// ended ends by itself.
const REST: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(20);

const SHELLS: &[&str] = &["sh", "dash", "bash", "ash", "busybox", "zsh", "ksh"];
/// npm and npx name their process after what they run: `npm run serve`.
const NAMED: &[&str] = &["npm ", "npm", "npx", "pnpm", "yarn"];
/// Others are scripts that node runs.
const SCRIPTS: &[&str] =
    &["npm-cli.js", "npx-cli.js", "npm", "npx", "pnpm.cjs", "pnpm", "yarn.js", "yarn", "corepack.js"];

/// One process of the unit, as it is in /proc.
struct Process {
    parent: i32,
    /// In ticks since the boot: with the pid it names a process for good.
    started: u64,
    wraps: bool,
    /// Where its standard input comes from, if that is a pipe.
    reads: Option<PathBuf>,
    writes: Vec<PathBuf>,
}

/// Signals the unit's programs and waits until they have ended. Only for a process that systemd itself started: in a
/// user's session the programs would be that user's.
pub fn drain() {
    let own = std::process::id().to_string();
    if std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|started| started == own) {
        end_programs();
    }
}

fn end_programs() {
    let crashed = std::env::var_os("MAINPID").is_none();
    let until = Instant::now() + if crashed { REST } else { LONGEST };
    let processes = processes();
    let programs = programs(&processes);
    let (readers, writers): (Vec<i32>, Vec<i32>) =
        programs.iter().partition(|pid| reads_from_another(**pid, &programs, &processes));
    // Where each reads from another none would be signalled.
    let (signalled, readers) = if writers.is_empty() { (readers, writers) } else { (writers, readers) };
    for pid in signalled.iter().filter(|pid| is_same(**pid, &processes)) {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGTERM);
    }
    await_end(&signalled, &processes, until);
    // Their time is over. Left to systemd they would get a second SIGTERM, and as much time once more.
    for pid in signalled.iter().filter(|pid| is_same(**pid, &processes)) {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    await_end(&readers, &processes, Instant::now() + REST);
}

fn await_end(pids: &[i32], processes: &BTreeMap<i32, Process>, until: Instant) {
    while Instant::now() < until && pids.iter().any(|pid| is_same(*pid, processes)) {
        sleep(INTERVAL);
    }
}

/// Whether the process still runs, and the pid did not go to another one.
fn is_same(pid: i32, processes: &BTreeMap<i32, Process>) -> bool {
    let now = stat(pid).filter(|(state, _, _)| state != "Z").map(|(_, _, started)| started);
    now.is_some() && now == processes.get(&pid).map(|process| process.started)
}

/// The topmost processes that are the service itself. What they started they end themselves, as they would without a
/// shell.
fn programs(processes: &BTreeMap<i32, Process>) -> Vec<i32> {
    let roots = processes.iter().filter(|(_, process)| !processes.contains_key(&process.parent));
    let mut found = Vec::new();
    let mut left: Vec<i32> = roots.map(|(pid, _)| *pid).collect();
    while let Some(pid) = left.pop() {
        let children: Vec<i32> =
            processes.iter().filter(|(_, process)| process.parent == pid).map(|(pid, _)| *pid).collect();
        match processes.get(&pid) {
            Some(process) if process.wraps && !children.is_empty() => left.extend(children),
            _ => found.push(pid),
        }
    }
    found.sort_unstable();
    found
}

fn reads_from_another(pid: i32, programs: &[i32], processes: &BTreeMap<i32, Process>) -> bool {
    let Some(pipe) = processes.get(&pid).and_then(|process| process.reads.as_ref()) else { return false };
    let writes = |other: &i32| processes.get(other).is_some_and(|process| process.writes.contains(pipe));
    programs.iter().filter(|other| **other != pid).any(writes)
}

/// The unit's processes but for this one. All others in its control group are the unit's, whatever that is called here.
fn processes() -> BTreeMap<i32, Process> {
    let own = std::process::id() as i32;
    let cgroup = |pid: i32| std::fs::read(format!("/proc/{pid}/cgroup")).ok();
    let Some(unit) = cgroup(own) else { return BTreeMap::new() };
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own && cgroup(*pid).as_ref() == Some(&unit))
        .filter_map(|pid| Some((pid, process(pid)?)))
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    let (_, parent, started) = stat(pid)?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    Some(Process {
        parent,
        started,
        wraps: wraps(name.trim_end(), &arguments),
        reads: pipe(pid, 0),
        writes: [1, 2].into_iter().filter_map(|fd| pipe(pid, fd)).collect(),
    })
}

fn wraps(name: &str, arguments: &[u8]) -> bool {
    let file = |number: usize| {
        let argument = arguments.split(|byte| *byte == 0).nth(number)?;
        Path::new(std::str::from_utf8(argument).ok()?).file_name()?.to_str()
    };
    // A script has its own name, and its shell's file as the first argument.
    let (program, script) = (file(0).unwrap_or_default(), file(1).unwrap_or_default());
    SHELLS.contains(&name)
        || SHELLS.contains(&program)
        || NAMED.iter().any(|named| name == *named || (named.ends_with(' ') && name.starts_with(named)))
        || (name == "node" && SCRIPTS.contains(&script))
}

fn pipe(pid: i32, fd: u32) -> Option<PathBuf> {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    target.to_str()?.starts_with("pipe:").then_some(target)
}

/// State, parent and start time.
fn stat(pid: i32) -> Option<(String, i32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(((*fields.first()?).to_owned(), fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::jail::child::Role;
    use crate::plan::layout;

    #[test]
    fn units_run_this_role() {
        assert_eq!(layout::DRAIN, format!("bootagent {} {DRAIN}", Role::VERB));
    }

    /// Pid, parent, whether it wraps, what it reads from and writes to.
    type Row<'a> = (i32, i32, bool, Option<&'a str>, Option<&'a str>);

    fn unit(processes: &[Row]) -> BTreeMap<i32, Process> {
        let process =
            |&(pid, parent, wraps, reads, writes): &(i32, i32, bool, Option<&str>, Option<&str>)| {
                let (reads, writes) =
                    (reads.map(PathBuf::from), writes.map(PathBuf::from).into_iter().collect());
                (pid, Process { parent, started: 1, wraps, reads, writes })
            };
        processes.iter().map(process).collect()
    }

    #[test]
    fn the_topmost_programs_below_shells_and_npm_are_the_service() {
        let shell = [(10, 1, true, None, None), (11, 10, true, None, None), (12, 11, false, None, None)];
        assert_eq!(programs(&unit(&shell)), [12]);
        let cluster = [(10, 1, true, None, None), (11, 10, false, None, None), (12, 11, false, None, None)];
        assert_eq!(programs(&unit(&cluster)), [11], "a worker is its primary's");
        assert_eq!(programs(&unit(&[(10, 1, true, None, None)])), [10], "a shell alone is the service");
        let orphan = [(10, 1, true, None, None), (11, 10, false, None, None), (20, 1, false, None, None)];
        assert_eq!(programs(&unit(&orphan)), [11, 20]);
    }

    #[test]
    fn what_reads_from_a_program_is_left_to_its_end_of_file() {
        let line = unit(&[
            (10, 1, true, None, None),
            (11, 10, false, None, Some("pipe:[1]")),
            (12, 10, false, Some("pipe:[1]"), Some("pipe:[2]")),
            (13, 10, false, Some("pipe:[2]"), None),
        ]);
        let programs = programs(&line);
        let readers: Vec<bool> =
            programs.iter().map(|pid| reads_from_another(*pid, &programs, &line)).collect();
        assert_eq!((programs, readers), (vec![11, 12, 13], vec![false, true, true]));
    }

    #[test]
    fn wrappers_are_known_by_name_or_script() {
        for (name, arguments) in [
            ("sh", &b"/bin/sh\0-c\0x"[..]),
            ("start.sh", b"/bin/bash\0./start.sh\0x"),
            ("npm run serve", b"npm run serve"),
            ("npm exec node s", b"npm exec node server.js"),
            ("node", b"node\0/usr/lib/node_modules/npm/bin/npm-cli.js\0start"),
            ("node", b"/n/bin/node\0/x/.bin/yarn\0start"),
        ] {
            assert!(wraps(name, arguments), "{name}");
        }
        for (name, arguments) in
            [("node", &b"node\0server.js"[..]), ("npmlike", b"npmlike"), ("node", b"node"), ("", b"")]
        {
            assert!(!wraps(name, arguments), "{name}");
        }
    }
}
