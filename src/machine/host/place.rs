//! A path, taken apart without being fooled: an open directory and a name in it.
//!
//! Root writes into directories below which other users can write. Every component is therefore
//! opened by itself, and a symbolic link is followed only where nobody but root could have put it.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, fchown};

use crate::secret::{ForeignText, Message};

/// A name in an open directory.
pub struct Place {
    pub directory: OwnedFd,
    pub name: OsString,
}

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC).union(OFlag::O_RDONLY);

impl Place {
    /// Opens the parents of an absolute path. Missing ones are made if `make` says so: root's, 0755.
    pub fn open(path: &Path, make: bool) -> Result<Place, Errno> {
        let mut names: Vec<&OsStr> = Vec::new();
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => names.push(name),
                Component::ParentDir | Component::Prefix(_) => return Err(Errno::EINVAL),
            }
        }
        let Some((last, parents)) = names.split_last().filter(|_| path.is_absolute()) else {
            return Err(Errno::EINVAL);
        };
        let mut directory = openat(AT_FDCWD, "/", DIRECTORY, Mode::empty())?;
        for name in parents {
            directory = match step(&directory, name) {
                Err(Errno::ENOENT) if make => {
                    make_directory(&directory, name, Uid::from_raw(0), Gid::from_raw(0), 0o755)?;
                    step(&directory, name)?
                }
                other => other?,
            };
        }
        Ok(Place { directory, name: last.to_os_string() })
    }

    /// What stands here, not following a link; `None` if nothing does.
    pub fn stat(&self) -> Result<Option<FileStat>, Errno> {
        match fstatat(&self.directory, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn open_directory(&self) -> Result<OwnedFd, Errno> {
        openat(&self.directory, self.name.as_os_str(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
    }
}

fn step(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match openat(directory, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()) {
        // A link to a directory, in a directory where only root writes: /opt on another disk, say.
        Err(Errno::ELOOP | Errno::ENOTDIR) if only_root_writes(&fstat(directory)?) => {
            openat(directory, name, DIRECTORY, Mode::empty())
        }
        other => other,
    }
}

/// What stands where a directory must be, on the way or at its end: in words, since it may be gone by now.
pub fn obstacle(path: &Path) -> Option<Message> {
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    way.iter().find_map(|at| {
        let found = std::fs::symlink_metadata(at).ok()?;
        if found.is_dir() || (*at != path && found.is_symlink() && is_followed(at)) {
            return None;
        }
        Some(match std::fs::read_link(at) {
            Ok(target) => Message::from(format!("{} is a symbolic link to ", at.display()))
                .and(ForeignText::line(&target.to_string_lossy())),
            Err(_) => format!("{} is no directory", at.display()).into(),
        })
    })
}

/// As `step` does.
fn is_followed(link: &Path) -> bool {
    Place::open(link, false).is_ok_and(|place| step(&place.directory, &place.name).is_ok())
}

fn only_root_writes(stat: &FileStat) -> bool {
    stat.st_uid == 0 && stat.st_mode & 0o022 == 0
}

/// Makes a directory, with nobody's access until it is its owner's.
pub fn make_directory(parent: &OwnedFd, name: &OsStr, uid: Uid, gid: Gid, mode: u32) -> Result<(), Errno> {
    mkdirat(parent, name, Mode::empty())?;
    let directory = openat(parent, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())?;
    own(&directory, uid, gid, mode)
}

pub fn own(fd: &OwnedFd, uid: Uid, gid: Gid, mode: u32) -> Result<(), Errno> {
    fchown(fd, Some(uid), Some(gid))?;
    fchmod(fd, Mode::from_bits_truncate(mode))
}

pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

pub fn permissions(stat: &FileStat) -> u32 {
    stat.st_mode & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redaction;

    #[test]
    fn relative_paths_and_parents_are_refused() {
        for path in ["relative", "/", "/tmp/../etc/x", ""] {
            assert!(Place::open(Path::new(path), false).is_err(), "{path} was taken");
        }
    }

    #[test]
    fn a_link_in_a_directory_that_others_write_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let open = scratch.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::os::unix::fs::symlink("/etc", open.join("link")).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Place::open(&open.join("link/passwd"), false).is_err());
        assert!(Place::open(&open.join("real/file"), true).is_ok());
    }

    #[test]
    fn what_stands_in_the_place_of_a_directory_is_named() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let scratch = tempfile::tempdir().unwrap();
        let open = scratch.path().join("open");
        std::fs::create_dir_all(open.join("real")).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::write(open.join("file"), "").unwrap();
        symlink("/etc", open.join("link")).unwrap();
        symlink(format!("/{}\n\u{1b}[31m", "x".repeat(600)), open.join("long")).unwrap();
        let told = |name: &str| obstacle(&open.join(name)).unwrap_or_default().shown(&Redaction::default());
        assert_eq!(told("link"), format!("{}/link is a symbolic link to /etc", open.display()));
        assert_eq!(told("link/below"), told("link"));
        assert_eq!(told("file"), format!("{}/file is no directory", open.display()));
        assert_eq!(told("file/below"), told("file"));
        assert!(told("long").ends_with("xxx…") && told("long").len() < open.as_os_str().len() + 400);
        for free in ["real", "absent", "absent/below", "real/below"] {
            assert_eq!(obstacle(&open.join(free)), None, "{free}");
        }
    }
}
