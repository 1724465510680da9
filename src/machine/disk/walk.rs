//! Reads a tree that others may write: no symbolic link is followed, and a file that is not a regular one is not opened.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};

use super::path_at::kind;

/// Directories within each other; a tree that a program made has few.
const DEEPEST: usize = 64;
pub const DIRECTORY: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_RDONLY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The names in a directory, sorted.
pub fn entries(directory: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut list = Dir::openat(directory, ".", DIRECTORY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in list.iter() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Gives each regular file to `see`, with its path relative to the top, until that returns true. `enters` leaves out files
/// and directories by the same path. An entry that disappears meanwhile is left out.
pub fn walk(
    top: &OwnedFd,
    enters: &impl Fn(&Path) -> bool,
    see: &mut impl FnMut(File, &Path) -> std::io::Result<bool>,
) -> std::io::Result<bool> {
    below(top, PathBuf::new(), 0, enters, see)
}

fn below(
    directory: &OwnedFd,
    path: PathBuf,
    depth: usize,
    enters: &impl Fn(&Path) -> bool,
    see: &mut impl FnMut(File, &Path) -> std::io::Result<bool>,
) -> std::io::Result<bool> {
    if depth > DEEPEST {
        return Err(std::io::Error::other("its directories are too deep"));
    }
    for name in entries(directory)? {
        let at = path.join(&name);
        if !enters(&at) {
            continue;
        }
        let stat = fstatat(directory, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        let open = |flags| openat(directory, name.as_os_str(), flags, Mode::empty());
        let opened = stat.and_then(|stat| match kind(&stat) {
            SFlag::S_IFDIR => open(DIRECTORY).map(|inner| Some((inner, true))),
            SFlag::S_IFREG => {
                let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                open(flags).map(|file| Some((file, false)))
            }
            _ => Ok(None),
        });
        let done = match opened {
            Ok(Some((inner, true))) => below(&inner, at, depth + 1, enters, see)?,
            Ok(Some((file, false))) => see(file.into(), &at)?,
            Ok(None) | Err(Errno::ENOENT) => false,
            Err(error) => return Err(error.into()),
        };
        if done {
            return Ok(true);
        }
    }
    Ok(false)
}
