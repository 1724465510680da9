//! The program as a process: what others may see of its memory, and how soon it ends when it is told to.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, mkfifo};
use tempfile::TempDir;

/// An ordinary user, where root runs the tests: the kernel shows an undumpable process of root's as one of root's.
const NOBODY: u32 = 65534;

/// A directory that all users may use, with a FIFO in it that has no writer: a process that reads it waits.
fn with_fifo(name: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o777)).unwrap();
    mkfifo(&home.path().join(name), Mode::from_bits_truncate(0o644)).unwrap();
    std::fs::set_permissions(home.path().join(name), PermissionsExt::from_mode(0o644)).unwrap();
    home
}

/// The program as an ordinary user, by a shell that allows core files of any size first.
fn started(home: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new("/bin/sh");
    let line = "ulimit -S -c unlimited 2>/dev/null; exec \"$0\" \"$@\"";
    command.args(["-c", line, env!("CARGO_BIN_EXE_bootagent")]).args(arguments);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(home);
    Ended(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ended {
    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its own program, no longer the shell.
    fn is_bootagent(&self) -> bool {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.pid())).unwrap_or_default();
        name.trim() == "bootagent"
    }
}

fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Soft and hard limit of the size of core files.
fn core_limits(pid: u32) -> [String; 2] {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = line["Max core file size".len()..].split_whitespace().collect();
    [words[0].to_owned(), words[1].to_owned()]
}

/// What the kernel shows of a process that is not dumpable belongs to root, and not to the user of the process.
fn owner_of_memory(pid: u32) -> u32 {
    std::fs::metadata(format!("/proc/{pid}/mem")).unwrap().uid()
}

#[test]
fn no_process_of_ours_leaves_a_core_or_can_be_read() {
    let home = with_fifo("facts.json");
    for arguments in [
        &["--dry-run", "--facts=facts.json"][..],
        &["run", "--dry-run", "--facts=facts.json"],
        &["env", "check", "--env-file=facts.json"],
        &["status", "--wait"],
        &["__child", "fetch"],
        &["__child", "beside", "--", "sleep", "60"],
    ] {
        let process = started(home.path(), arguments);
        soon("the shell becomes the program", || process.is_bootagent());
        soon("a core limit of 0", || core_limits(process.pid()) == ["0", "0"]);
        soon("not dumpable", || owner_of_memory(process.pid()) == 0);
    }
    // Else nothing was proved: the kernel shows others' processes as theirs.
    let mut other = Command::new("sleep");
    other.arg("60");
    if geteuid().is_root() {
        other.uid(NOBODY);
    }
    let other = Ended(other.spawn().unwrap());
    let owner = if geteuid().is_root() { NOBODY } else { geteuid().as_raw() };
    soon("a program that is not ours is its user's", || owner_of_memory(other.pid()) == owner);
}
/// The arguments of a dry run that waits for one file of its caller's.
fn dry_run_reading(flag: &'static str) -> Vec<String> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/_shared");
    let given = |name: &str, file: &str| match name == flag {
        true => format!("--{name}=slow"),
        false => format!("--{name}={}", shared.join(file).display()),
    };
    let files = [("facts", "facts.json"), ("policy", "policy.toml"), ("env-file", "secret")];
    let mut arguments = vec!["--dry-run".to_owned(), "--repository=repo".to_owned()];
    arguments.extend(files.map(|(name, file)| given(name, file)));
    if flag == "manifest" {
        arguments.push("--manifest=slow".to_owned());
    }
    arguments
}

/// Started in a directory with a repository, and at the reading of `slow`, whose text never comes.
fn reading_slowly(home: &TempDir, flag: &'static str, more: &[&str]) -> Ended {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/_shared");
    common::repository(&shared.join("tree"), &home.path().join("repo"), &["test"]);
    if geteuid().is_root() {
        // libgit2 opens its caller's repositories only.
        assert!(
            Command::new("chown").args(["-R", "65534:65534"]).arg(home.path()).status().unwrap().success()
        );
    }
    let arguments = dry_run_reading(flag);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let process = started(home.path(), &arguments);
    soon("the shell becomes the program", || process.is_bootagent());
    process
}

/// The other end of the FIFO, which can be opened like this once a process reads it.
fn writer(home: &TempDir) -> File {
    let mut options = File::options();
    options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut writer = None;
    soon("the file is read", || {
        writer = options.open(home.path().join("slow")).ok();
        writer.is_some()
    });
    writer.unwrap()
}

fn ended(mut process: Ended, within: Duration) -> (Option<i32>, String) {
    use std::io::Read;
    let until = Instant::now() + within;
    while process.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it goes on after {within:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut told = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    (process.0.wait().unwrap().code(), told)
}

/// What is given is read and parsed beside the thread that hears signals. The text never comes here, so that
/// no parser is quick enough to hide a deaf run.
#[test]
fn a_run_that_reads_what_others_wrote_hears_signals() {
    for flag in ["facts", "policy", "env-file", "manifest"] {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let home = with_fifo("slow");
            let process = reading_slowly(&home, flag, &[]);
            let _writes_nothing = writer(&home);
            kill(Pid::from_raw(i32::try_from(process.pid()).unwrap()), signal).unwrap();
            let (status, told) = ended(process, Duration::from_secs(20));
            assert_eq!(status, Some(75), "--{flag}: {told}");
            assert!(told.contains("E-CANCELLED") && told.contains(signal.as_str()), "--{flag}: {told}");
        }
    }
}

#[test]
fn a_run_that_reads_what_others_wrote_keeps_to_its_budget() {
    for flag in ["facts", "policy", "env-file", "manifest"] {
        let home = with_fifo("slow");
        let process = reading_slowly(&home, flag, &["--budget=2s"]);
        let (status, told) = ended(process, Duration::from_secs(40));
        assert_eq!(status, Some(75), "--{flag}: {told}");
        assert!(told.contains("E-DEADLINE") && told.contains("budget of 2 s"), "--{flag}: {told}");
    }
}
