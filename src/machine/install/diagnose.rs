//! Why a command failed, from its exit status and output. The output is untrusted: it chooses which fault is reported,
//! and has no other effect.

use std::path::PathBuf;

use crate::error::{Error, Result, is_disk_full};
use crate::fault::Fault;
use crate::fault::words::missing::Of;
use crate::fault::words::{self, Complaint};
use crate::machine::disk::room;
use crate::machine::process::exit::IMDS_ANSWERS;
use crate::machine::process::program::{Output, how_it_ended};
use crate::machine::process::{memory, reason};
use crate::secret::{ForeignText, Message};

/// 128 + SIGABRT, with which Node ends when its heap is full.
const ABORTED: i32 = 134;

/// The command that ran.
pub struct Ran<'a> {
    /// As messages show it.
    pub line: String,
    pub user: &'a str,
    /// Where it could write, to name the disk that is full.
    pub writable: &'a [PathBuf],
    /// The fault if the output shows no more specific one.
    pub fault: Fault,
}

impl Ran<'_> {
    /// Whether its output is about this machine. A migration also prints what the database says, whose disk is another.
    fn is_about_this_machine(&self) -> bool {
        self.fault == Fault::InstallFailed
    }

    /// A migration has the service's environment.
    fn of(&self) -> Of {
        if self.is_about_this_machine() { Of::Command } else { Of::Service }
    }
}

/// `Ok` for status 0. `unit_ended` is systemd's last message about the unit, which says more than the status.
pub fn judge(ran: &Ran<'_>, output: &Output, unit_ended: &str) -> Result<()> {
    let doing = || format!("running {} as {}", ran.line, ran.user);
    let lines = words::own::without_notes(output.lines());
    let evidence = if ran.is_about_this_machine() { lines.as_slice() } else { &[] };
    let failed = |fault: Fault, cause: Message| Err(fault.error(doing(), cause).saying(output.both_ends()));
    match output.status {
        Some(0) => Ok(()),
        Some(IMDS_ANSWERS) => failed(Fault::ImdsAnswers, "the proof failed".into()),
        _ if is_disk_full(unit_ended) || evidence.iter().any(|line| line.judge(is_disk_full)) => {
            failed(Fault::DiskFull, format!("the disk is full: {}", room::fullest(ran.writable)).into())
        }
        // A command may exit with the same status: only systemd's message shows that the unit did not start.
        Some(_) if unit_ended.contains("Failed at step") => {
            let cause = reason::of_the_unit(output.status, unit_ended);
            let cause = cause.unwrap_or_else(|| failure(output, &lines, ran.of()).0);
            Err(Fault::UnitFailed.error(doing(), cause).saying(output.both_ends()).remedy(reason::REMEDY))
        }
        _ => match (out_of_memory(output.status, &lines, unit_ended), words::complaint(evidence)) {
            (Some(cause), _) => failed(Fault::OutOfMemory, cause.into()),
            (None, Some(Complaint { fault, cause, remedy })) => {
                failed(fault, cause).map_err(|error| with_remedy(error, remedy))
            }
            (None, None) => {
                let (cause, remedy) = failure(output, &lines, ran.of());
                failed(ran.fault, cause).map_err(|error| with_remedy(error, remedy))
            }
        },
    }
}

fn with_remedy(error: Error, remedy: Option<String>) -> Error {
    match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

/// How the command ended for lack of memory, and how much the machine has; `None` if it did not.
pub fn out_of_memory(status: Option<i32>, lines: &[ForeignText], unit_ended: &str) -> Option<String> {
    lack_of_memory(status, lines, unit_ended).map(memory::with_state)
}

/// How the command ended for lack of memory; `None` if it did not.
fn lack_of_memory(status: Option<i32>, lines: &[ForeignText], unit_ended: &str) -> Option<&'static str> {
    let says = |what: &str| lines.iter().any(|line| line.says(what));
    if says("JavaScript heap out of memory") || (status == Some(ABORTED) && says("Allocation failed")) {
        return Some("Node reached the limit of its heap");
    }
    let said_by_npm = says("npm error signal SIGKILL") || says("npm error code 137");
    memory::killed(status, unit_ended).or(said_by_npm.then_some(memory::BY_SIGKILL))
}

/// The exit status with the reason that the output names, and a remedy if it names something missing.
fn failure(output: &Output, lines: &[ForeignText], of: Of) -> (Message, Option<String>) {
    let how = Message::from(how_it_ended(output));
    match words::reason(lines, of) {
        Some((reason, remedy)) => (how.and(": ").and(reason), remedy),
        None => (how, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redaction;

    fn judged_as(fault: Fault, status: i32, printed: &str, unit_ended: &str) -> Error {
        let ran = Ran { line: "/usr/bin/npm ci".into(), user: "x-build", writable: &["/".into()], fault };
        let output = Output { status: Some(status), stdout: Vec::new(), stderr: printed.into() };
        judge(&ran, &output, unit_ended).unwrap_err().redacted(&Redaction::default())
    }

    fn judged(status: i32, printed: &str, unit_ended: &str) -> Error {
        judged_as(Fault::InstallFailed, status, printed, unit_ended)
    }

    #[track_caller]
    fn is(error: Error, fault: Fault, cause: &str) {
        assert_eq!(Fault::of(&error), Some(fault), "{error}");
        assert!(error.report().causes.join(": ").contains(cause), "{error}");
    }

    #[test]
    fn a_full_disk_is_named_with_its_path() {
        for printed in [
            "npm error code ENOSPC\nnpm error nospc ENOSPC: no space left on device, write",
            "cc1: fatal error: cannot write: No space left on device",
            "tar: x: Cannot open: Disk quota exceeded",
        ] {
            is(judged(1, printed, ""), Fault::DiskFull, "/ (");
        }
    }

    #[test]
    fn lack_of_memory_is_named_with_the_machine_s_memory() {
        let heap = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
        is(judged(134, heap, ""), Fault::OutOfMemory, "MiB of memory");
        is(
            judged(137, "Killed\nnpm error code 137\nnpm error command failed", ""),
            Fault::OutOfMemory,
            "SIGKILL",
        );
        is(
            judged(1, "", "x: Main process exited, code=killed, status=9/KILL"),
            Fault::OutOfMemory,
            "SIGKILL",
        );
        is(judged(1, "", "x: Failed with result 'oom-kill'."), Fault::OutOfMemory, "kernel");
    }

    #[test]
    fn a_unit_that_systemd_could_not_start_is_reported_in_systemd_s_words() {
        let printed = "x.service: Failed at step NAMESPACE spawning /usr/bin/npm: No such file or directory";
        is(judged(226, "", printed), Fault::UnitFailed, "systemd says: Failed at step NAMESPACE");
        // The command exits with the same status.
        is(judged(226, "no luck", ""), Fault::InstallFailed, "status 226: no luck");
    }

    #[test]
    fn other_failures_are_not_lack_of_memory() {
        is(judged(1, "TypeError: x is not a function", ""), Fault::InstallFailed, "TypeError");
        is(
            judged(143, "", "x: Main process exited, code=killed, status=15/TERM"),
            Fault::InstallFailed,
            "143",
        );
        is(judged(134, "assertion failed", ""), Fault::InstallFailed, "assertion failed");
        is(judged(3, "built half\nno such module", ""), Fault::InstallFailed, "status 3: no such module");
    }

    /// The messages are npm 10's.
    #[test]
    fn of_a_failing_script_the_script_s_message_counts() {
        let npm = "npm error code 7\nnpm error path /opt/x\nnpm error command failed\n\
            npm error command sh -c node install.js\n";
        let printed = format!("{npm}npm error no luck\nnpm error A complete log of this run: /x");
        is(judged(7, &printed, ""), Fault::InstallFailed, "status 7: no luck");
        let printed = format!(
            "{npm}npm error node:internal/modules/cjs/loader:1\nnpm error Error: Cannot find module 'y'"
        );
        is(judged(7, &printed, ""), Fault::InstallFailed, "status 7: Error: Cannot find module 'y'");
        is(judged(7, npm, ""), Fault::InstallFailed, "status 7");
        // npm prints warnings about its configuration as errors, first.
        let printed = "npm error config prefix cannot be changed from project config: /opt/x/.npmrc.\n\
            npm error code ENOENT\nnpm error syscall spawn /opt/none/sh\nnpm error path /opt/x\nnpm error errno -2\n\
            npm error enoent spawn /opt/none/sh ENOENT\nnpm error enoent This is related to npm not being able to find a file.";
        is(judged(254, printed, ""), Fault::InstallFailed, "status 254: enoent spawn /opt/none/sh ENOENT");
    }

    #[test]
    fn what_a_migration_prints_of_its_database_is_not_this_machine_s_fault() {
        let migrated = |status, printed| judged_as(Fault::MigrateFailed, status, printed, "");
        for printed in ["ERROR: could not extend file: No space left on device", "npm error code E404"] {
            is(migrated(1, printed), Fault::MigrateFailed, printed);
        }
        is(migrated(137, ""), Fault::OutOfMemory, "SIGKILL");
    }

    #[test]
    fn what_is_missing_is_named_with_what_helps() {
        for (printed, cause, remedy) in [
            (
                "npm error code 127\nnpm error command sh -c husky\nnpm error sh: 1: husky: not found",
                "status 1: sh: 1: husky: not found",
                "husky comes neither",
            ),
            (
                "/bin/sh: 1: git: not found\nError: Command failed: git log\n    at x (y:1:1)",
                "git is not on the machine",
                "\"git\"",
            ),
            ("gyp ERR! stack Error: not found: make\ngyp ERR! not ok", "needs make", "\"g++\", \"make\""),
            (
                "error: Environment variable not found: DATABASE_URL.",
                "status 1: error: Environment",
                "env.values",
            ),
        ] {
            let error = judged(1, printed, "");
            assert!(error.report().remedy.contains(remedy), "{error}");
            is(error, Fault::InstallFailed, cause);
        }
        let migrated = judged_as(Fault::MigrateFailed, 1, "error: Environment variable not found: A_B.", "");
        assert!(migrated.report().remedy.contains("service's secret"), "{migrated}");
    }

    #[test]
    fn npm_s_error_code_counts_also_after_much_other_output() {
        let printed = format!(
            "{}npm error code E503\nnpm error 503 Service Unavailable - GET http://r/x\n",
            "noise\n".repeat(500)
        );
        is(judged(1, &printed, ""), Fault::RegistryUnreachable, "503 Service Unavailable");
    }
}
