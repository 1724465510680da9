//! Removes the traces of this machine. Each removal can be repeated: a seal that was killed is run again.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::ftruncate;

use super::traces::{How, Trace};
use crate::error::{Coded, Result};
use crate::machine::disk::path_at::Place;
use crate::machine::disk::remove as disk;
use crate::machine::process::program::tool;
use crate::machine::process::units::is_running_the_machine;
use crate::plan::layout;

/// Removes them, after the programs that write some of them again were told to stop.
pub async fn remove(traces: &[Trace]) -> Result<()> {
    if is_running_the_machine() {
        release().await?;
    }
    for trace in traces {
        let doing = || format!("removing {}", trace.path.display());
        match trace.how {
            How::Remove => removed(&trace.path).doing(doing)?,
            How::Empty => emptied(&trace.path).doing(doing)?,
        }
    }
    nix::unistd::sync();
    Ok(())
}

/// journald writes to /run from now on, systemd saves no random seed when the machine stops, and the swap file is not in
/// use. The watcher has nothing to watch.
async fn release() -> Result<()> {
    tool(&["journalctl", "--relinquish-var"], 60).await?;
    let units = ["systemd-random-seed.service", layout::SWAP_UNIT, layout::WATCH_UNIT];
    for unit in units {
        // A unit that the machine does not have is not an error here.
        let _ = tool(&["systemctl", "stop", "--", unit], 120).await;
    }
    Ok(())
}

/// Other users can write the directories of some: no link is followed there.
fn removed(path: &Path) -> Result<(), nix::Error> {
    match Place::open(path, false) {
        Ok(place) => disk::remove(&place.directory, &place.name),
        Err(nix::Error::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// In place: /etc/machine-id may be a mount, and a program that logs has its file open.
fn emptied(path: &Path) -> Result<(), nix::Error> {
    let place = Place::open(path, false)?;
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(&place.directory, place.name.as_os_str(), flags, Mode::empty())?);
    ftruncate(file.as_fd(), 0)
}
