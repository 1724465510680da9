//! One run at a time, by a kernel lock: a dead holder never blocks.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::files;
use crate::error::{Code, Coded, Error, Result};
use crate::plan::{Mode, Owner};

pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock or says that somebody has it; never waits.
    pub fn take() -> Result<Lock> {
        let path = Path::new("/run/bootagent/run.lock");
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

trait Private {
    fn mode_private(&mut self) -> &mut Self;
}

impl Private for std::fs::OpenOptions {
    /// Nobody else may open it: who can open it can hold it.
    fn mode_private(&mut self) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt;
        self.mode(0o600)
    }
}
