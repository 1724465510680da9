//! One run at a time, by flock(2): the kernel releases the lock when the process that holds it ends, however it ends.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{major, minor};

use crate::error::{Code, Coded, Error, Result};
use crate::facts::Agent;
use crate::machine::disk::files;
use crate::plan::{Mode, Owner};

const PATH: &str = "/run/bootagent/run.lock";

pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock until the value is dropped; `E-BUSY` if another run has it. Never waits.
    pub fn take() -> Result<Lock> {
        let path = Path::new(PATH);
        files::directory(Path::new("/run/bootagent"), &Owner::root(), Mode(0o755))?;
        let doing = || format!("locking {}", path.display());
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode_private()
            .open(path)
            .doing(doing)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(Code::Busy, "starting a run", "another run is active on this machine"))
            }
            Err(TryLockError::Error(error)) => Err(error).doing(doing),
        }
    }
}

/// Whether a run is active, read from `/proc/locks`. Trying the lock instead would make a run fail that starts at that
/// moment.
pub fn agent() -> Agent {
    let Ok(lock) = std::fs::metadata(PATH) else { return Agent::Gone };
    match std::fs::read_to_string("/proc/locks") {
        Ok(locks) => holder(&locks, lock.dev(), lock.ino()).map_or(Agent::Gone, Agent::Lives),
        Err(_) => Agent::Unknown,
    }
}

/// The pid of the process that has the lock. A line of `/proc/locks` is `1: FLOCK  ADVISORY  WRITE 4711 00:19:1234 0
/// EOF`; if the process waits for the lock, `->` follows the number.
fn holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, _, pid, of, ..] if *of == file => pid.parse().ok(),
            _ => None,
        }
    })
}

trait Private {
    fn mode_private(&mut self) -> &mut Self;
}

impl Private for std::fs::OpenOptions {
    /// Only root may open the file: any process that can open it could take the lock and block every run.
    fn mode_private(&mut self) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt;
        self.mode(0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 9 00:19:77 0 EOF
2: FLOCK  ADVISORY  WRITE 4711 00:19:77 0 EOF
3: -> FLOCK  ADVISORY  WRITE 4712 00:1a:77 0 EOF
4: FLOCK  ADVISORY  WRITE 5 08:01:77 0 EOF
";

    #[test]
    fn the_process_that_locked_the_file_is_found() {
        assert_eq!(holder(LOCKS, nix::libc::makedev(0, 0x19), 77), Some(4711));
        assert_eq!(holder(LOCKS, nix::libc::makedev(8, 1), 77), Some(5));
    }

    #[test]
    fn other_files_waiting_processes_and_invalid_lines_are_ignored() {
        for (device, inode) in [(nix::libc::makedev(0, 0x19), 7), (nix::libc::makedev(0, 0x1a), 77)] {
            assert_eq!(holder(LOCKS, device, inode), None);
        }
        assert_eq!(holder("nonsense\n\n1:", 0, 0), None);
    }
}
