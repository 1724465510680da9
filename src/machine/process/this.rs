//! This very process: what it gives up before it reads anything, its arguments included.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use crate::error::{Code, Coded, Error, Result};

/// A crash must not write the secrets that are in memory to the disk, or hand them to a crash reporter, and no
/// debugger may read them. For every process of ours, children included.
///
/// The limit stops a core file; not dumpable stops a `core_pattern` that is a program as well, which no limit
/// does, and a debugger of the same user. Programs that this process starts inherit the limit, and are
/// dumpable again: those are tools of the system, and units, whose limits are systemd's.
pub fn forbid_core_dumps() -> Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
        .coded(Code::CoreDumps, || "limiting the size of core files to 0".to_owned())?;
    prctl::set_dumpable(false).coded(Code::CoreDumps, || "keeping this process from being dumped".to_owned())
}

/// From here on this process is another program, on its terminal. Returns only if there is none.
pub fn become_program(line: &[String]) -> Error {
    use std::os::unix::process::CommandExt;
    let (program, arguments) = match line.split_first() {
        Some((program, arguments)) => (program.as_str(), arguments),
        None => ("", line),
    };
    let error = std::process::Command::new(program).args(arguments).exec();
    Error::new(Code::Io, format!("starting {program}"), error)
}
