//! Ends a service: `ExecStop=` of every service's unit. It signals processes of its own control group only.
//!
//! Each program of the service gets SIGTERM once and time to finish, even if the unit's main process is a shell or a
//! package manager. systemd alone cannot do that:
//! - `KillMode=mixed` signals the main process only, and a shell ends without its children.
//! - `KillMode=control-group` sends a second SIGTERM when the main process has ended, which kills a service that
//!   handles only the first one. It also ends `cat` in `node server.js | cat`, so that the service's last writes fail
//!   with EPIPE.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The child role: `bootagent __child drain`.
pub const DRAIN: &str = "drain";

/// The time that the service has to finish: a little less than the unit's `TimeoutStopSec=`, which systemd applies to
/// this process, and then again to the processes that are left.
const LONGEST: Duration = Duration::from_secs(28);
/// The time if the main process has already ended, for children that it left behind; and for programs that read from
/// another one, which end at its end of file.
const SHORT: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(20);

const SHELLS: &[&str] = &["sh", "dash", "bash", "ash", "busybox", "zsh", "ksh"];
/// Names of package managers' processes. npm sets its own to what it runs: `npm run serve`.
const PACKAGE_MANAGERS: &[&str] = &["npm ", "npm", "npx", "pnpm", "yarn"];
/// Package managers that are scripts run by node.
const SCRIPTS: &[&str] =
    &["npm-cli.js", "npx-cli.js", "npm", "npx", "pnpm.cjs", "pnpm", "yarn.js", "yarn", "corepack.js"];

/// One process of the unit, read from /proc.
struct Process {
    parent: i32,
    /// In clock ticks since the boot. Pid and start time together identify a process: pids are reused.
    started: u64,
    /// A shell or package manager, which only starts the service.
    is_wrapper: bool,
    /// The pipe on standard input, as `pipe:[INODE]`.
    stdin: Option<PathBuf>,
    /// The pipes on standard output and standard error.
    outputs: Vec<PathBuf>,
}

/// Signals the unit's programs and waits until they have ended. Does nothing unless systemd started this process: run
/// from a shell it would end all processes of that user's session.
pub fn drain() {
    let own = std::process::id().to_string();
    if std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|started| started == own) {
        end_programs();
    }
}

fn end_programs() {
    let has_main_process = std::env::var_os("MAINPID").is_some();
    let until = Instant::now() + if has_main_process { LONGEST } else { SHORT };
    let processes = processes();
    let programs = programs(&processes);
    let (readers, writers): (Vec<i32>, Vec<i32>) =
        programs.iter().partition(|pid| reads_from_another(**pid, &programs, &processes));
    // If each program reads from another one, all are signalled: otherwise none would be.
    let (signalled, readers) = if writers.is_empty() { (readers, writers) } else { (writers, readers) };
    for pid in signalled.iter().filter(|pid| is_same(**pid, &processes)) {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGTERM);
    }
    await_end(&signalled, &processes, until);
    // Their time is over. systemd would send a second SIGTERM first, and wait `TimeoutStopSec=` again.
    for pid in signalled.iter().filter(|pid| is_same(**pid, &processes)) {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    await_end(&readers, &processes, Instant::now() + SHORT);
}

fn await_end(pids: &[i32], processes: &BTreeMap<i32, Process>, until: Instant) {
    while Instant::now() < until && pids.iter().any(|pid| is_same(*pid, processes)) {
        sleep(INTERVAL);
    }
}

/// Whether this process still runs: a pid that the kernel gave to a new process must not be signalled.
fn is_same(pid: i32, processes: &BTreeMap<i32, Process>) -> bool {
    let now = stat(pid).filter(|(state, _, _)| state != "Z").map(|(_, _, started)| started);
    now.is_some() && now == processes.get(&pid).map(|process| process.started)
}

/// The topmost processes that are not wrappers. They end their own children (such as workers), as without a wrapper.
fn programs(processes: &BTreeMap<i32, Process>) -> Vec<i32> {
    let roots = processes.iter().filter(|(_, process)| !processes.contains_key(&process.parent));
    let mut found = Vec::new();
    let mut left: Vec<i32> = roots.map(|(pid, _)| *pid).collect();
    while let Some(pid) = left.pop() {
        let children: Vec<i32> =
            processes.iter().filter(|(_, process)| process.parent == pid).map(|(pid, _)| *pid).collect();
        match processes.get(&pid) {
            Some(process) if process.is_wrapper && !children.is_empty() => left.extend(children),
            _ => found.push(pid),
        }
    }
    found.sort_unstable();
    found
}

fn reads_from_another(pid: i32, programs: &[i32], processes: &BTreeMap<i32, Process>) -> bool {
    let Some(pipe) = processes.get(&pid).and_then(|process| process.stdin.as_ref()) else { return false };
    let writes = |other: &i32| processes.get(other).is_some_and(|process| process.outputs.contains(pipe));
    programs.iter().filter(|other| **other != pid).any(writes)
}

/// The unit's processes except this one: those in the same control group.
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
        is_wrapper: is_wrapper(name.trim_end(), &arguments),
        stdin: pipe(pid, 0),
        outputs: [1, 2].into_iter().filter_map(|fd| pipe(pid, fd)).collect(),
    })
}

fn is_wrapper(name: &str, arguments: &[u8]) -> bool {
    let file = |number: usize| {
        let argument = arguments.split(|byte| *byte == 0).nth(number)?;
        Path::new(std::str::from_utf8(argument).ok()?).file_name()?.to_str()
    };
    // The name of a shell script's process is the script's; argument 0 is then the shell.
    let (program, script) = (file(0).unwrap_or_default(), file(1).unwrap_or_default());
    SHELLS.contains(&name)
        || SHELLS.contains(&program)
        || PACKAGE_MANAGERS
            .iter()
            .any(|manager| name == *manager || (manager.ends_with(' ') && name.starts_with(manager)))
        || (name == "node" && SCRIPTS.contains(&script))
}

fn pipe(pid: i32, fd: u32) -> Option<PathBuf> {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    target.to_str()?.starts_with("pipe:").then_some(target)
}

/// State, parent and start time.
fn stat(pid: i32) -> Option<(String, i32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in parentheses and may contain any character, also `)`.
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

    /// Pid, parent, whether it is a wrapper, the pipe that it reads from, the pipe that it writes to.
    type Row<'a> = (i32, i32, bool, Option<&'a str>, Option<&'a str>);

    fn unit(processes: &[Row]) -> BTreeMap<i32, Process> {
        let process =
            |&(pid, parent, is_wrapper, stdin, output): &(i32, i32, bool, Option<&str>, Option<&str>)| {
                let (stdin, outputs) =
                    (stdin.map(PathBuf::from), output.map(PathBuf::from).into_iter().collect());
                (pid, Process { parent, started: 1, is_wrapper, stdin, outputs })
            };
        processes.iter().map(process).collect()
    }

    #[test]
    fn the_topmost_programs_below_shells_and_npm_are_the_service() {
        let shell = [(10, 1, true, None, None), (11, 10, true, None, None), (12, 11, false, None, None)];
        assert_eq!(programs(&unit(&shell)), [12]);
        let cluster = [(10, 1, true, None, None), (11, 10, false, None, None), (12, 11, false, None, None)];
        assert_eq!(programs(&unit(&cluster)), [11], "a worker is ended by its primary");
        assert_eq!(programs(&unit(&[(10, 1, true, None, None)])), [10], "a shell alone is the service");
        let orphan = [(10, 1, true, None, None), (11, 10, false, None, None), (20, 1, false, None, None)];
        assert_eq!(programs(&unit(&orphan)), [11, 20]);
    }

    #[test]
    fn a_program_that_reads_from_another_one_is_not_signalled() {
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
    fn wrappers_are_recognized_by_name_or_script() {
        for (name, arguments) in [
            ("sh", &b"/bin/sh\0-c\0x"[..]),
            ("start.sh", b"/bin/bash\0./start.sh\0x"),
            ("npm run serve", b"npm run serve"),
            ("npm exec node s", b"npm exec node server.js"),
            ("node", b"node\0/usr/lib/node_modules/npm/bin/npm-cli.js\0start"),
            ("node", b"/n/bin/node\0/x/.bin/yarn\0start"),
        ] {
            assert!(is_wrapper(name, arguments), "{name}");
        }
        for (name, arguments) in
            [("node", &b"node\0server.js"[..]), ("npmlike", b"npmlike"), ("node", b"node"), ("", b"")]
        {
            assert!(!is_wrapper(name, arguments), "{name}");
        }
    }
}
