//! The last thing before somebody else's code runs: the proof that IMDS does not answer it.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::error::{Code, Error, Result};

/// How the parent learns that the proof failed: outside what programs commonly exit with.
pub const IMDS_ANSWERS: i32 = 189;

/// A blocked packet is dropped, so the proof takes this long. IMDS answers within a millisecond or two.
const PATIENCE: Duration = Duration::from_millis(250);

/// Becomes `argv`, unless IMDS answers.
pub fn guard(argv: &[String]) -> Result<Infallible> {
    prove_no_imds()?;
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::new(Code::Bug, "starting a child", "there is no program"));
    };
    let error = Command::new(program).args(arguments).exec();
    Err(Error::new(Code::InstallFailed, format!("starting {program}"), error))
}

/// A property that was accepted is no proof: some kernels take it and do nothing.
pub fn prove_no_imds() -> Result<()> {
    let addresses = [
        SocketAddr::from(([169, 254, 169, 254], 80)),
        SocketAddr::from(([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 80)),
    ];
    for address in addresses {
        if TcpStream::connect_timeout(&address, PATIENCE).is_ok() {
            return Err(Error::new(
                Code::ImdsAnswers,
                "proving that the sandbox has no instance metadata",
                format!("{address} answers"),
            ));
        }
    }
    Ok(())
}
