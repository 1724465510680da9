//! A path as an open directory and a name in it.
//!
//! Root writes into directories below which other users can write, and a user could swap a directory for a symbolic
//! link to make root write elsewhere. So every component is opened by itself, and a symbolic link is followed only in a
//! directory where only root could have created it.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::owned::only_root_can_change;
use super::remove::remove;
use crate::secret::{ForeignText, Message};

/// A name in an open directory.
pub struct Place {
    pub directory: OwnedFd,
    pub name: OsString,
}

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC).union(OFlag::O_RDONLY);

impl Place {
    /// Opens the parents of an absolute path without `..`, else `EINVAL`. `make`: creates missing ones, root's, 0755.
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
        let name = last.to_os_string();
        match open_without_links(path.parent().unwrap_or(path)) {
            Ok(directory) => return Ok(Place { directory, name }),
            Err(Errno::ENOENT) if !make => return Err(Errno::ENOENT),
            // A link on the way, a directory to be made, or a kernel before 5.6.
            Err(_) => {}
        }
        let mut directory = openat(AT_FDCWD, "/", DIRECTORY, Mode::empty())?;
        for name in parents {
            directory = match open_component(&directory, name) {
                Err(Errno::ENOENT) if make => {
                    match make_directory(&directory, name, Uid::from_raw(0), Gid::from_raw(0), 0o755) {
                        // EEXIST: another process has just created it.
                        Ok(()) | Err(Errno::EEXIST) => open_component(&directory, name)?,
                        Err(error) => return Err(error),
                    }
                }
                other => other?,
            };
        }
        Ok(Place { directory, name })
    }

    /// As lstat(2); `None` if the name does not exist.
    pub fn stat(&self) -> Result<Option<FileStat>, Errno> {
        match fstatat(&self.directory, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory of this name. Fails for a symbolic link.
    pub fn open_directory(&self) -> Result<OwnedFd, Errno> {
        openat(&self.directory, self.name.as_os_str(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
    }
}

/// In one call, if no component is a link: most paths are so, and a run looks at a hundred.
fn open_without_links(path: &Path) -> Result<OwnedFd, Errno> {
    openat2(AT_FDCWD, path, OpenHow::new().flags(DIRECTORY).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS))
}

fn open_component(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match openat(directory, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()) {
        // A symbolic link: followed in a directory where only root writes. /opt may be on another disk.
        Err(refused @ (Errno::ELOOP | Errno::ENOTDIR)) => {
            let stat = fstat(directory)?;
            match only_root_can_change(stat.st_uid, stat.st_mode) {
                true => openat(directory, name, DIRECTORY, Mode::empty()),
                false => Err(refused),
            }
        }
        other => other,
    }
}

/// What makes it impossible that `path` is a directory, the path itself or a parent: its name and what it is.
pub fn obstacle(path: &Path) -> Option<Message> {
    let mut from_top: Vec<&Path> = path.ancestors().collect();
    from_top.reverse();
    from_top.iter().find_map(|at| {
        let found = std::fs::symlink_metadata(at).ok()?;
        if found.is_dir() || (*at != path && found.is_symlink() && is_followed(at)) {
            return None;
        }
        Some(match std::fs::read_link(at) {
            Ok(target) => Message::from(format!("{} is a symbolic link to ", at.display()))
                .and(ForeignText::line(&target.to_string_lossy())),
            Err(_) => format!("{} is not a directory", at.display()).into(),
        })
    })
}

/// Whether [`open_component`] follows this symbolic link.
fn is_followed(link: &Path) -> bool {
    Place::open(link, false).is_ok_and(|place| open_component(&place.directory, &place.name).is_ok())
}

/// The name of a file or tree while it is created or removed, so that its final name never means half of it. It follows
/// from the final name: the next run finds and replaces what a killed run left.
pub fn unfinished_name(name: &OsStr) -> OsString {
    let mut unfinished = OsString::from(".");
    unfinished.push(name);
    unfinished.push(".bootagent");
    unfinished
}

/// The final name that belongs to an [`unfinished_name`]; `None` for other names.
pub fn finished_name(unfinished: &str) -> Option<&str> {
    unfinished.strip_prefix('.')?.strip_suffix(".bootagent")
}

/// Makes a directory that has its owner and mode from the moment it has its name. A run that is killed before that
/// leaves an unfinished name, which the next run removes. `EEXIST` if the name is taken.
pub fn make_directory(parent: &OwnedFd, name: &OsStr, uid: Uid, gid: Gid, mode: u32) -> Result<(), Errno> {
    /// Another process that makes the same directory may remove this one, which it takes for a killed run's.
    const TRIES: u32 = 50;
    let unfinished = unfinished_name(name);
    let attempt = || {
        clear(parent, &unfinished)?;
        mkdirat(parent, unfinished.as_os_str(), Mode::empty())?;
        let directory = openat(parent, unfinished.as_os_str(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())?;
        own(&directory, uid, gid, mode)?;
        rename_if_free(parent, &unfinished, name)
    };
    let mut made = attempt();
    for tried in 1..TRIES {
        match made {
            // The other process has finished the directory.
            Err(Errno::ENOENT | Errno::EEXIST) if is_there(parent, name)? => {
                made = Err(Errno::EEXIST);
                break;
            }
            Err(Errno::ENOENT | Errno::EEXIST) => {
                std::thread::sleep(apart(tried));
                made = attempt();
            }
            _ => break,
        }
    }
    if made == Err(Errno::EEXIST) {
        clear(parent, &unfinished)?;
    }
    made
}

/// Removes what a killed run left, by its name if it is empty, as nearly always: what was opened to be emptied could meanwhile get
/// its final name from another process, and lose what is made in it.
fn clear(parent: &OwnedFd, unfinished: &OsStr) -> Result<(), Errno> {
    match unlinkat(parent, unfinished, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(_) => remove(parent, unfinished),
    }
}

/// A time that differs among processes, threads and tries: those that try again at the same moment remove each other's directory
/// again.
fn apart(tried: u32) -> Duration {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let own = (nix::unistd::gettid().as_raw().unsigned_abs() + since.subsec_micros()) % 16;
    Duration::from_micros(u64::from((50 * tried + 10) * own))
}

/// Renames if the new name is free. A plain rename would replace an empty directory, which another process may have
/// opened already.
fn rename_if_free(parent: &OwnedFd, unfinished: &OsStr, name: &OsStr) -> Result<(), Errno> {
    match rename_noreplace(parent, unfinished, name) {
        // NFS does not support the flags of renameat2(2).
        Err(Errno::EINVAL) if is_there(parent, name)? => Err(Errno::EEXIST),
        Err(Errno::EINVAL) => renameat(parent, unfinished, parent, name),
        done => done,
    }
}

fn is_there(parent: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// renameat2(2) with RENAME_NOREPLACE, for which musl has no function.
#[allow(unsafe_code)]
fn rename_noreplace(parent: &OwnedFd, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    let terminated = |name: &OsStr| CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL);
    let (from, to) = (terminated(from)?, terminated(to)?);
    let at = parent.as_raw_fd();
    // SAFETY: the descriptor is open and both names end with a zero byte for as long as the call lasts.
    let done = unsafe {
        libc::syscall(libc::SYS_renameat2, at, from.as_ptr(), at, to.as_ptr(), libc::RENAME_NOREPLACE)
    };
    Errno::result(done).map(drop)
}

/// Sets the owner before the mode, because chown(2) clears setuid and setgid.
pub fn own(fd: &OwnedFd, uid: Uid, gid: Gid, mode: u32) -> Result<(), Errno> {
    fchown(fd, Some(uid), Some(gid))?;
    fchmod(fd, Mode::from_bits_truncate(mode))
}

/// The file type.
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// The permission bits, with setuid, setgid and sticky.
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
    fn a_directory_has_its_mode_before_its_name_and_replaces_what_a_killed_run_left() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let parent: OwnedFd = std::fs::File::open(scratch.path()).unwrap().into();
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let (made, left) = (scratch.path().join("made"), scratch.path().join(".made.bootagent"));
        std::fs::create_dir_all(left.join("with/more")).unwrap();
        make_directory(&parent, OsStr::new("made"), uid, gid, 0o2750).unwrap();
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o2750);
        assert!(!left.exists());

        std::fs::write(made.join("mine"), "").unwrap();
        assert_eq!(make_directory(&parent, OsStr::new("made"), uid, gid, 0o700), Err(Errno::EEXIST));
        assert!(made.join("mine").exists() && !left.exists());
        std::fs::create_dir(scratch.path().join("empty")).unwrap();
        assert_eq!(make_directory(&parent, OsStr::new("empty"), uid, gid, 0o700), Err(Errno::EEXIST));
        std::fs::write(scratch.path().join("file"), "").unwrap();
        assert_eq!(make_directory(&parent, OsStr::new("file"), uid, gid, 0o700), Err(Errno::EEXIST));
        assert_eq!(unfinished_name(OsStr::new("made")), ".made.bootagent");
        assert_eq!(finished_name(".made.bootagent"), Some("made"));
        assert_eq!((finished_name("made"), finished_name(".made")), (None, None));
    }

    /// Two runs that start at once do this.
    #[test]
    fn several_processes_can_make_the_same_directories_at_once() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = scratch.path().join(format!("a/{round}/c/file"));
            std::thread::scope(|scope| {
                let makers: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| Place::open(&path, true).map(drop))).collect();
                for maker in makers {
                    maker.join().unwrap().unwrap();
                }
            });
        }
        let names: Vec<_> =
            std::fs::read_dir(scratch.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn an_obstacle_in_the_place_of_a_directory_is_named() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let scratch = tempfile::tempdir().unwrap();
        let open = scratch.path().join("open");
        std::fs::create_dir_all(open.join("real")).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::write(open.join("file"), "").unwrap();
        symlink("/etc", open.join("link")).unwrap();
        symlink(format!("/{}\n\u{1b}[31m", "x".repeat(600)), open.join("long")).unwrap();
        let described =
            |name: &str| obstacle(&open.join(name)).unwrap_or_default().shown(&Redaction::default());
        assert_eq!(described("link"), format!("{}/link is a symbolic link to /etc", open.display()));
        assert_eq!(described("link/below"), described("link"));
        assert_eq!(described("file"), format!("{}/file is not a directory", open.display()));
        assert_eq!(described("file/below"), described("file"));
        assert!(
            described("long").ends_with("xxx…") && described("long").len() < open.as_os_str().len() + 400
        );
        for free in ["real", "absent", "absent/below", "real/below"] {
            assert_eq!(obstacle(&open.join(free)), None, "{free}");
        }
    }
}
