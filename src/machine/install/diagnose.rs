//! Why a command failed, read from its end and from what it said. What it says is foreign text:
//! it chooses the name of a failure and never more than that.

use std::path::PathBuf;

use crate::error::{Result, is_disk_full};
use crate::fault::Fault;
use crate::fault::words::{self, Complaint};
use crate::machine::disk::room;
use crate::machine::process::exit::IMDS_ANSWERS;
use crate::machine::process::program::{Output, how_it_ended};
use crate::machine::process::{memory, reason};
use crate::secret::{ForeignText, Message};

/// As a shell tells it: ended by SIGABRT, which is how Node ends without a heap.
const ABORTED: i32 = 134;

/// What ran, as far as its end is judged by it.
pub struct Ran<'a> {
    pub line: String,
    pub user: &'a str,
    pub writable: &'a [PathBuf],
    /// What it is if it is nothing more particular.
    pub fault: Fault,
}

impl Ran<'_> {
    /// A migration speaks of others, too: what its database has no room for is not this machine's disk.
    fn speaks_of_itself(&self) -> bool {
        self.fault == Fault::InstallFailed
    }
}

/// `unit_ended` is systemd's word about the unit, where the status alone says little.
pub fn judge(ran: &Ran<'_>, output: &Output, unit_ended: &str) -> Result<()> {
    let doing = || format!("running {} as {}", ran.line, ran.user);
    let lines = output.lines();
    let own_words = if ran.speaks_of_itself() { lines.as_slice() } else { &[] };
    let told = |fault: Fault, cause: Message| Err(fault.error(doing(), cause).saying(output.both_ends()));
    match output.status {
        Some(0) => Ok(()),
        Some(IMDS_ANSWERS) => told(Fault::ImdsAnswers, "the proof failed".into()),
        _ if is_disk_full(unit_ended) || own_words.iter().any(|line| line.judge(is_disk_full)) => {
            told(Fault::DiskFull, format!("it found no room: {}", room::fullest(ran.writable)).into())
        }
        // A command may end with such a number, too: only systemd's own words make it the unit's.
        Some(_) if unit_ended.contains("Failed at step") => {
            let cause = reason::of_the_unit(output.status, unit_ended);
            let cause = cause.unwrap_or_else(|| failure(output, &lines));
            Err(Fault::UnitFailed.error(doing(), cause).saying(output.both_ends()).remedy(reason::REMEDY))
        }
        _ => match (out_of_memory(output.status, &lines, unit_ended), words::complaint(own_words)) {
            (Some(cause), _) => told(Fault::OutOfMemory, cause.into()),
            (None, Some(Complaint { fault, cause, remedy })) => {
                told(fault, cause).map_err(|error| match remedy {
                    Some(remedy) => error.remedy(remedy),
                    None => error,
                })
            }
            (None, None) => told(ran.fault, failure(output, &lines)),
        },
    }
}

/// Whether it ended for lack of memory: how, and how much there is.
pub fn out_of_memory(status: Option<i32>, lines: &[ForeignText], unit_ended: &str) -> Option<String> {
    want_of_memory(status, lines, unit_ended).map(memory::with_state)
}

/// Whether it ended for lack of memory, and how.
fn want_of_memory(status: Option<i32>, lines: &[ForeignText], unit_ended: &str) -> Option<&'static str> {
    let says = |what: &str| lines.iter().any(|line| line.says(what));
    if says("JavaScript heap out of memory") || (status == Some(ABORTED) && says("Allocation failed")) {
        return Some("Node reached the limit of its heap");
    }
    let said_by_npm = says("npm error signal SIGKILL") || says("npm error code 137");
    memory::killed(status, unit_ended).or(said_by_npm.then_some(memory::BY_SIGKILL))
}

/// The status, and of what was said the line that tells most.
fn failure(output: &Output, lines: &[ForeignText]) -> Message {
    let tells = |line: &&ForeignText| {
        line.judge(|line| line.to_lowercase().contains("error") && !line.contains("A complete log"))
    };
    let of_tool = words::sentences(lines);
    let line = of_tool.iter().find(tells).or(of_tool.first());
    let line = line.or_else(|| lines.iter().rev().find(tells)).or(lines.last());
    let how = Message::from(how_it_ended(output));
    line.map_or(how.clone(), |line| how.and(": ").and(line.trimmed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::secret::Redaction;

    fn judged_as(fault: Fault, status: i32, said: &str, unit_ended: &str) -> Error {
        let ran = Ran { line: "/usr/bin/npm ci".into(), user: "x-build", writable: &["/".into()], fault };
        let output = Output { status: Some(status), stdout: Vec::new(), stderr: said.into() };
        judge(&ran, &output, unit_ended).unwrap_err().redacted(&Redaction::default())
    }

    fn judged(status: i32, said: &str, unit_ended: &str) -> Error {
        judged_as(Fault::InstallFailed, status, said, unit_ended)
    }

    #[track_caller]
    fn is(error: Error, fault: Fault, cause: &str) {
        assert_eq!(Fault::of(&error), Some(fault), "{error}");
        assert!(error.report().causes.join(": ").contains(cause), "{error}");
    }

    #[test]
    fn a_full_disk_is_named_with_its_place() {
        for said in [
            "npm error code ENOSPC\nnpm error nospc ENOSPC: no space left on device, write",
            "cc1: fatal error: cannot write: No space left on device",
            "tar: x: Cannot open: Disk quota exceeded",
        ] {
            is(judged(1, said, ""), Fault::DiskFull, "/ (");
        }
    }

    #[test]
    fn want_of_memory_is_named_with_what_there_is() {
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
    fn a_unit_that_systemd_could_not_start_is_told_in_its_words() {
        let said = "x.service: Failed at step NAMESPACE spawning /usr/bin/npm: No such file or directory";
        is(judged(226, "", said), Fault::UnitFailed, "systemd says: Failed at step NAMESPACE");
        // The command's own number.
        is(judged(226, "no luck", ""), Fault::InstallFailed, "status 226: no luck");
    }

    #[test]
    fn other_ends_are_no_want_of_memory() {
        is(judged(1, "TypeError: x is not a function", ""), Fault::InstallFailed, "TypeError");
        is(
            judged(143, "", "x: Main process exited, code=killed, status=15/TERM"),
            Fault::InstallFailed,
            "143",
        );
        is(judged(134, "assertion failed", ""), Fault::InstallFailed, "assertion failed");
        is(judged(3, "built half\nno such module", ""), Fault::InstallFailed, "status 3: no such module");
    }

    /// As npm 10 tells it.
    #[test]
    fn of_a_failing_script_its_own_words_count() {
        let npm = "npm error code 7\nnpm error path /opt/x\nnpm error command failed\n\
            npm error command sh -c node install.js\n";
        let said = format!("{npm}npm error no luck\nnpm error A complete log of this run: /x");
        is(judged(7, &said, ""), Fault::InstallFailed, "status 7: no luck");
        let said = format!(
            "{npm}npm error node:internal/modules/cjs/loader:1\nnpm error Error: Cannot find module 'y'"
        );
        is(judged(7, &said, ""), Fault::InstallFailed, "status 7: Error: Cannot find module 'y'");
        is(judged(7, npm, ""), Fault::InstallFailed, "status 7");
        // What it finds odd in a configuration comes first, and ended nothing.
        let said = "npm error config prefix cannot be changed from project config: /opt/x/.npmrc.\n\
            npm error code ENOENT\nnpm error syscall spawn /opt/none/sh\nnpm error path /opt/x\nnpm error errno -2\n\
            npm error enoent spawn /opt/none/sh ENOENT\nnpm error enoent This is related to npm not being able to find a file.";
        is(judged(254, said, ""), Fault::InstallFailed, "status 254: enoent spawn /opt/none/sh ENOENT");
    }

    #[test]
    fn what_a_migration_says_of_others_is_not_this_machines_fault() {
        let migrated = |status, said| judged_as(Fault::MigrateFailed, status, said, "");
        for said in ["ERROR: could not extend file: No space left on device", "npm error code E404"] {
            is(migrated(1, said), Fault::MigrateFailed, said);
        }
        is(migrated(137, ""), Fault::OutOfMemory, "SIGKILL");
    }

    #[test]
    fn npms_own_code_counts_also_after_much_else() {
        let said = format!(
            "{}npm error code E503\nnpm error 503 Service Unavailable - GET http://r/x\n",
            "noise\n".repeat(500)
        );
        is(judged(1, &said, ""), Fault::RegistryUnreachable, "503 Service Unavailable");
    }
}
