//! Why an installation failed, and how the parent hears of it: one line, which `fault::words` reads.

use crate::fault::Fault;
use crate::npm::Obstacle;

/// A failure with the fault that decides whether the installation is repeated.
#[derive(Clone, Debug)]
pub enum Failure {
    /// npm installs in place of this installer. The rest of a sentence: "npm installs, because".
    ForNpm(String),
    Fault {
        fault: Fault,
        cause: String,
    },
}

impl Failure {
    pub fn new(fault: Fault, cause: impl Into<String>) -> Failure {
        Failure::Fault { fault, cause: cause.into() }
    }

    pub fn refused(cause: impl Into<String>) -> Failure {
        Failure::new(Fault::PackageUnusable, cause)
    }

    /// What the file system answers about `what`.
    pub fn of_the_disk(what: &str, error: &std::io::Error) -> Failure {
        let fault = match error.raw_os_error().map(nix::errno::Errno::from_raw) {
            Some(nix::errno::Errno::ENOSPC | nix::errno::Errno::EDQUOT) => Fault::DiskFull,
            _ => Fault::InstallFailed,
        };
        Failure::new(fault, format!("writing {what}: {error}"))
    }
}

impl From<Obstacle> for Failure {
    fn from(obstacle: Obstacle) -> Failure {
        match obstacle {
            Obstacle::ForNpm(reason) => Failure::ForNpm(reason),
            Obstacle::Refused(reason) => Failure::refused(reason),
        }
    }
}

pub type Result<T> = std::result::Result<T, Failure>;
