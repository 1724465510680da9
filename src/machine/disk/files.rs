//! Checks and changes files, directories and links. A file is never half-written under its final name, and has its
//! owner and mode before its content: other users must not read a secret in between.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{Mode as Bits, SFlag};
use nix::unistd::{Gid, Group, Uid, UnlinkatFlags, User, fsync, symlinkat, syncfs, unlinkat};

use super::path_at::{Place, kind, make_directory, obstacle, own, permissions, unfinished_name};
use super::remove::remove;
use crate::error::{Code, Coded, Error, Result};
use crate::machine::Check;
use crate::plan::{Mode, Owner};

/// In bytes: more than any file that bootagent writes or compares.
const LONGEST: u64 = 16 << 20;

struct Ids {
    uid: Uid,
    gid: Gid,
}

/// Looked up when the step runs, because an earlier step of the plan may create the user.
fn ids(owner: &Owner) -> Result<Ids> {
    let doing = || format!("looking up {owner}");
    // Most files are root's, which needs no look into /etc/passwd.
    let uid = match owner.user.as_str() {
        "root" => Some(Uid::from_raw(0)),
        name => User::from_name(name).doing(doing)?.map(|user| user.uid),
    };
    let gid = match owner.group.as_str() {
        "root" => Some(Gid::from_raw(0)),
        name => Group::from_name(name).doing(doing)?.map(|group| group.gid),
    };
    match (uid, gid) {
        (Some(uid), Some(gid)) => Ok(Ids { uid, gid }),
        _ => Err(Error::new(Code::Io, doing(), "there is no such user or group")),
    }
}

/// `None` if a parent directory of the path is absent.
fn open_parent(path: &Path) -> Result<Option<Place>> {
    match Place::open(path, false) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error).doing(|| format!("opening the directory of {}", path.display())),
    }
}

/// Whether the name exists, also as a symbolic link without a target.
pub fn exists(path: &Path) -> Result<bool> {
    match open_parent(path)? {
        Some(place) => Ok(place.stat().doing(|| format!("looking at {}", path.display()))?.is_some()),
        None => Ok(false),
    }
}

/// Device and inode number of a directory, which differ if its name is given to another one; `None` if it is absent.
pub fn directory_id(path: &Path) -> Result<Option<(u64, u64)>> {
    let Some(place) = open_parent(path)? else { return Ok(None) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    Ok(stat.filter(|stat| kind(stat) == SFlag::S_IFDIR).map(|stat| (stat.st_dev, stat.st_ino)))
}

/// Whether a directory is absent or has no entries.
pub fn is_empty(path: &Path) -> Result<bool> {
    let doing = || format!("looking into {}", path.display());
    let Some(place) = open_parent(path)? else { return Ok(true) };
    if place.stat().doing(doing)?.is_none() {
        return Ok(true);
    }
    let directory = place.open_directory().doing(doing)?;
    let mut list =
        nix::dir::Dir::openat(&directory, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Bits::empty());
    let list = list.as_mut().map_err(|error| *error).doing(doing)?;
    Ok(list.iter().flatten().all(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")))
}

/// The ctime of a file, link or directory, in microseconds since 1970; `None` if it is absent.
pub fn changed(path: &Path) -> Result<Option<u64>> {
    let Some(place) = open_parent(path)? else { return Ok(None) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    let microseconds = |stat: nix::sys::stat::FileStat| stat.st_ctime * 1_000_000 + stat.st_ctime_nsec / 1000;
    Ok(stat.map(microseconds).and_then(|changed| changed.try_into().ok()))
}

/// The bytes of a file of at most 16 MiB; `None` if it is absent. Does not follow a symbolic link.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let doing = || format!("reading {}", path.display());
    let Some(place) = open_parent(path)? else { return Ok(None) };
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = match openat(&place.directory, place.name.as_os_str(), flags, Bits::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(error).doing(doing),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).doing(doing)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(Error::new(Code::Io, doing(), "it is over 16 MiB")),
        false => Ok(Some(bytes)),
    }
}

pub fn check_file(path: &Path, content: &[u8], owner: &Owner, mode: Mode) -> Result<Check> {
    let Some(place) = open_parent(path)? else { return Ok(Check::WouldChange("absent".into())) };
    let Some(stat) = place.stat().doing(|| format!("looking at {}", path.display()))? else {
        return Ok(Check::WouldChange("absent".into()));
    };
    if kind(&stat) != SFlag::S_IFREG {
        return Ok(Check::WouldChange("not a regular file".into()));
    }
    if permissions(&stat) != mode.0 {
        return Ok(Check::WouldChange(format!("mode {:04o}", permissions(&stat))));
    }
    let owned =
        ids(owner).is_ok_and(|ids| ids.uid.as_raw() == stat.st_uid && ids.gid.as_raw() == stat.st_gid);
    if !owned {
        return Ok(Check::WouldChange("another owner".into()));
    }
    match read(path)? {
        Some(bytes) if bytes == content => check_leftover(path),
        _ => Ok(Check::WouldChange("other content".into())),
    }
}

pub fn check_removed(path: &Path) -> Result<Check> {
    Ok(match exists_or_left(path)? {
        true => Check::WouldChange("present".into()),
        false => Check::AlreadySo,
    })
}

/// Replaces a file by one rename, and flushes before and after it: a crash leaves the old file or the new one.
pub fn write(path: &Path, content: &[u8], owner: &Owner, mode: Mode) -> Result<()> {
    let ids = ids(owner)?;
    (|| {
        let place = Place::open(path, true)?;
        let unfinished = free_unfinished_name(&place)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&place.directory, unfinished.as_os_str(), flags, Bits::empty())?;
        own(&fd, ids.uid, ids.gid, mode.0)?;
        let mut file = File::from(fd);
        file.write_all(content)?;
        fsync(&file)?;
        renameat(&place.directory, unfinished.as_os_str(), &place.directory, place.name.as_os_str())?;
        fsync(&place.directory)?;
        Ok::<(), std::io::Error>(())
    })()
    .doing(|| format!("writing {}", path.display()))
}

/// The unfinished name beside `place`, after removal of what a killed run left there.
fn free_unfinished_name(place: &Place) -> Result<OsString, Errno> {
    let name = unfinished_name(&place.name);
    remove(&place.directory, &name)?;
    Ok(name)
}

/// Where a killed run leaves what it was about to name `path`, or was removing.
fn unfinished_path(path: &Path) -> PathBuf {
    path.with_file_name(unfinished_name(path.file_name().unwrap_or_default()))
}

/// For a path that is as wanted: what a killed run left beside it must go, too, since it may hold a secret.
fn check_leftover(path: &Path) -> Result<Check> {
    Ok(match exists(&unfinished_path(path))? {
        true => Check::WouldChange("a killed run left one beside it".into()),
        false => Check::AlreadySo,
    })
}

/// Whether a file or tree has this name, or the name under which a killed run leaves one.
pub fn exists_or_left(path: &Path) -> Result<bool> {
    Ok(exists(path)? || exists(&unfinished_path(path))?)
}

/// A link or file in the place of a directory is an operator's choice, or data: bootagent does not replace it.
fn refuse_obstacle(path: &Path) -> Result<()> {
    match obstacle(path) {
        Some(what) => {
            let cause = what.and(", where a directory must be");
            Err(Error::new(Code::NotADirectory, format!("making {}", path.display()), cause))
        }
        None => Ok(()),
    }
}

pub fn check_directory(path: &Path, owner: &Owner, mode: Mode) -> Result<Check> {
    refuse_obstacle(path)?;
    let Some(place) = open_parent(path)? else { return Ok(Check::WouldChange("absent".into())) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    let Some(stat) = stat else { return Ok(Check::WouldChange("absent".into())) };
    let owned =
        ids(owner).is_ok_and(|ids| ids.uid.as_raw() == stat.st_uid && ids.gid.as_raw() == stat.st_gid);
    match owned && permissions(&stat) == mode.0 {
        true => check_leftover(path),
        false => Ok(Check::WouldChange(format!("another owner, or mode {:04o}", permissions(&stat)))),
    }
}

/// Makes a directory and its parents, or corrects the owner and mode of an existing one.
pub fn directory(path: &Path, owner: &Owner, mode: Mode) -> Result<()> {
    let ids = ids(owner)?;
    (|| {
        let place = Place::open(path, true)?;
        if place.stat()?.is_none() {
            match make_directory(&place.directory, &place.name, ids.uid, ids.gid, mode.0) {
                Err(Errno::EEXIST) => {}
                done => return done,
            }
        }
        free_unfinished_name(&place)?;
        own(&place.open_directory()?, ids.uid, ids.gid, mode.0)
    })()
    .doing(|| format!("making {}", path.display()))
}

/// A symbolic link's target; `None` if the path is absent or not a symbolic link.
pub fn target(path: &Path) -> Result<Option<PathBuf>> {
    let Some(place) = open_parent(path)? else { return Ok(None) };
    match readlinkat(&place.directory, place.name.as_os_str()) {
        Ok(target) => Ok(Some(target.into())),
        Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
        Err(error) => Err(error).doing(|| format!("reading the link {}", path.display())),
    }
}

pub fn check_link(path: &Path, to: &Path) -> Result<Check> {
    match target(path)? {
        Some(now) if now == to => check_leftover(path),
        Some(now) => Ok(Check::WouldChange(format!("points to {}", now.display()))),
        None if exists(path)? => Ok(Check::WouldChange("not a link".into())),
        None => Ok(Check::WouldChange("absent".into())),
    }
}

/// Replaces a symbolic link by one rename, so that it always exists. `displaces`: a directory of that name is removed.
pub fn link(path: &Path, to: &Path, displaces: bool) -> Result<()> {
    if displaces && is_directory(path)? {
        remove_tree(path)?;
    }
    (|| {
        let place = Place::open(path, true)?;
        let unfinished = free_unfinished_name(&place)?;
        symlinkat(to, &place.directory, unfinished.as_os_str())?;
        renameat(&place.directory, unfinished.as_os_str(), &place.directory, place.name.as_os_str())?;
        fsync(&place.directory)
    })()
    .doing(|| format!("linking {} to {}", path.display(), to.display()))
}

fn is_directory(path: &Path) -> Result<bool> {
    let Some(place) = open_parent(path)? else { return Ok(false) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    Ok(stat.is_some_and(|stat| kind(&stat) == SFlag::S_IFDIR))
}

/// Flushes the file system of `path` to disk, with one syncfs(2) for the thousands of files of a release.
pub fn flush(path: &Path) -> Result<()> {
    (|| syncfs(Place::open(path, false)?.open_directory()?))()
        .doing(|| format!("flushing {} to disk", path.display()))
}

/// Renames a tree or file, if it exists, to its unfinished name. If its removal then fails, nothing takes it for whole.
pub fn put_aside(path: &Path) -> Result<()> {
    let Some(place) = open_parent(path)? else { return Ok(()) };
    (|| {
        let aside = free_unfinished_name(&place)?;
        match renameat(&place.directory, place.name.as_os_str(), &place.directory, aside.as_os_str()) {
            Err(Errno::ENOENT) => Ok(()),
            done => done,
        }
    })()
    .doing(|| format!("removing {}", path.display()))
}

/// Renames `from`, if it exists, to the last component of `to`, in the same directory.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let Some(place) = open_parent(from)? else { return Ok(()) };
    let Some(name) = to.file_name() else { return Ok(()) };
    (|| {
        match renameat(&place.directory, place.name.as_os_str(), &place.directory, name) {
            Err(Errno::ENOENT) => return Ok(()),
            done => done?,
        }
        fsync(&place.directory)
    })()
    .doing(|| format!("renaming {} to {}", from.display(), to.display()))
}

/// Removes a tree or file, if it exists, and what a killed run left beside it. Renames it first, so that a half-removed
/// tree is not taken for a whole one.
pub fn remove_tree(path: &Path) -> Result<()> {
    put_aside(path)?;
    let Some(place) = open_parent(path)? else { return Ok(()) };
    free_unfinished_name(&place).map(drop).doing(|| format!("removing {}", path.display()))
}

/// Removes what a killed run left; `path` has the unfinished name already.
pub fn remove_left(path: &Path) -> Result<()> {
    let Some(place) = open_parent(path)? else { return Ok(()) };
    remove(&place.directory, &place.name).doing(|| format!("removing {}", path.display()))
}

/// Removes a file, if it exists, and what a killed run left beside it.
pub fn remove_file(path: &Path) -> Result<()> {
    let Some(place) = open_parent(path)? else { return Ok(()) };
    let remove_file = || {
        free_unfinished_name(&place)?;
        match unlinkat(&place.directory, place.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            done => done,
        }
    };
    remove_file().doing(|| format!("removing {}", path.display()))
}

/// The text of an operator's file; `None` if it is absent. Reads at most `longest` bytes, also of a FIFO.
pub fn text(path: &Path, longest: u64) -> Result<Option<String>> {
    let doing = || format!("reading {}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.doing(doing)?,
    };
    let mut text = String::new();
    file.take(longest + 1).read_to_string(&mut text).doing(doing)?;
    match text.len() as u64 > longest {
        true => Err(Error::new(Code::Io, doing(), format!("it is over {} MiB", longest >> 20))),
        false => Ok(Some(text)),
    }
}

/// The names in a directory, sorted; empty if the directory is absent.
pub fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("listing {}", path.display())),
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}
