//! The main process of a transient unit that runs a command from the repository. It first proves that the unit cannot
//! reach IMDS, then runs the command and waits for it.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use nix::sys::signal::{SigSet, Signal};

use super::child::Role;
use super::imds_proof::prove_no_imds;
use super::unit::own_program;
use crate::error::{Code, Coded, Error, Result};

/// The child role with the proof.
pub const PROVE_AND_RUN: &str = "prove-and-run";
/// The child role without the proof, if the policy lets the command reach IMDS.
pub const RUN: &str = "run";

/// The command line with which bootagent runs `argv` in one of the two roles.
pub fn command_line(argv: &[String], may_use_imds: bool) -> Result<Vec<String>> {
    let role = if may_use_imds { RUN } else { PROVE_AND_RUN };
    let own = own_program()?.display().to_string();
    let mut line: Vec<String> = vec![own, Role::VERB.to_owned(), role.to_owned(), "--".to_owned()];
    line.extend(argv.iter().cloned());
    Ok(line)
}

/// Runs `argv` unless IMDS answers. Returns the exit status as a shell does: 128 + N for signal N.
///
/// This process stays the unit's main process and does not exec `argv`: systemd counts a main process that ends by
/// SIGTERM as a success, so an installation that was stopped half-way would count as done.
pub fn prove_and_run(argv: &[String]) -> Result<i32> {
    prove_no_imds()?;
    run(argv)
}

pub fn run(argv: &[String]) -> Result<i32> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::new(Code::Bug, "starting a command", "the command is empty"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    #[allow(unsafe_code)]
    // SAFETY: between fork and exec the closure makes one system call and touches no memory of the parent.
    unsafe {
        // The command must not inherit the mask that is set below.
        command.pre_exec(|| SigSet::empty().thread_set_mask().map_err(Into::into));
    }
    // `systemctl stop` signals all processes of the unit: this one must outlive the command to report how it ended.
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
        .thread_block()
        .doing(|| "blocking signals while a command runs".to_owned())?;
    let ended = command.status().coded(Code::InstallFailed, || format!("starting {program}"))?;
    Ok(ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(script: &str) -> i32 {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()]).unwrap()
    }

    #[test]
    fn a_command_that_a_signal_ends_has_failed() {
        assert_eq!(status_of("exit 0"), 0);
        assert_eq!(status_of("exit 7"), 7);
        // If the shell had inherited the blocked signals, it would exit with 0.
        assert_eq!(status_of("kill -TERM $$; exit 0"), 143);
        assert_eq!(status_of("kill -KILL $$"), 137);
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        assert_eq!(run(&["/no/such/program".to_owned()]).unwrap_err().code(), Code::InstallFailed);
    }
}
