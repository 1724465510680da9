//! The last thing before somebody else's code runs: the proof that IMDS does not answer it.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use nix::sys::signal::{SigSet, Signal};

use super::child::Role;
use super::imds_proof::prove_no_imds;
use super::unit::own_program;
use crate::error::{Code, Coded, Error, Result};

/// The same without the proof, for whom the policy lets ask IMDS.
pub const BESIDE: &str = "beside";
pub const GUARD: &str = "guard";

/// The command line that has this program stand before `argv`, and beside it.
pub fn before(argv: &[String], may_use_imds: bool) -> Result<Vec<String>> {
    let role = if may_use_imds { BESIDE } else { GUARD };
    let own = own_program()?.display().to_string();
    let mut line: Vec<String> = vec![own, Role::VERB.to_owned(), role.to_owned(), "--".to_owned()];
    line.extend(argv.iter().cloned());
    Ok(line)
}

/// Runs `argv`, unless IMDS answers; how that ended, as a shell tells it.
///
/// It stays beside the program, as the unit's main process: systemd takes a service that ends by SIGTERM for
/// one that ended well, and an installation that was stopped half-way would count as done.
pub fn guard(argv: &[String]) -> Result<i32> {
    prove_no_imds()?;
    run(argv)
}

pub fn run(argv: &[String]) -> Result<i32> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::new(Code::Bug, "starting a child", "there is no program"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    #[allow(unsafe_code)]
    // SAFETY: between fork and exec it makes one system call, and touches no memory of the parent's.
    unsafe {
        command.pre_exec(|| SigSet::empty().thread_set_mask().map_err(Into::into));
    }
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
        .thread_block()
        .doing(|| "waiting beside a child".to_owned())?;
    let ended = command.status().coded(Code::InstallFailed, || format!("starting {program}"))?;
    Ok(ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(script: &str) -> i32 {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()]).unwrap()
    }

    #[test]
    fn an_end_by_a_signal_is_no_success() {
        assert_eq!(ends("exit 0"), 0);
        assert_eq!(ends("exit 7"), 7);
        // Were the signal blocked for it, too, the shell would live on.
        assert_eq!(ends("kill -TERM $$; exit 0"), 143);
        assert_eq!(ends("kill -KILL $$"), 137);
    }

    #[test]
    fn what_is_not_there_cannot_be_started() {
        assert_eq!(run(&["/no/such/program".to_owned()]).unwrap_err().code(), Code::InstallFailed);
    }
}
