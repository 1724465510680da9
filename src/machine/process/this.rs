//! bootagent's own process: core dumps are forbidden before it reads anything, its arguments included.

use std::fmt::Write;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use sha2::{Digest, Sha256};

use crate::error::{Code, Coded, Result};

/// Keeps the secrets in memory out of core files, crash reporters and debuggers. Every process of bootagent calls
/// this, also a `bootagent __child`.
///
/// `RLIMIT_CORE` prevents a core file. `PR_SET_DUMPABLE` also prevents a `core_pattern` that is a program, which
/// ignores the limit, and a debugger of the same user. Programs that this process executes inherit the limit but are
/// dumpable again: they are tools of the system. For units systemd sets the limits.
pub fn forbid_core_dumps() -> Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
        .coded(Code::CoreDumps, || "limiting the size of core files to 0".to_owned())?;
    prctl::set_dumpable(false).coded(Code::CoreDumps, || "keeping this process from being dumped".to_owned())
}

/// The SHA-256 of the program that this process runs, in lower-case hexadecimal digits; also if its file was replaced
/// meanwhile.
pub fn own_sha256() -> Result<String> {
    let program = std::fs::read("/proc/self/exe").doing(|| "reading bootagent's own program".to_owned())?;
    Ok(Sha256::digest(program).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}
