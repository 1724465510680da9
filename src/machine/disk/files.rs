//! Files, directories and links: looked at, and made so. Nothing is ever half-written under its own
//! name, and a file has its owner and mode before it has content.

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

/// Longer than any file that we write or compare.
const LONGEST: u64 = 16 << 20;

struct Ids {
    uid: Uid,
    gid: Gid,
}

/// Looked up when it is needed: the plan names users that an earlier step makes.
fn ids(owner: &Owner) -> Result<Ids> {
    let doing = || format!("looking up {owner}");
    let user = User::from_name(&owner.user).doing(doing)?;
    let group = Group::from_name(&owner.group).doing(doing)?;
    match (user, group) {
        (Some(user), Some(group)) => Ok(Ids { uid: user.uid, gid: group.gid }),
        _ => Err(Error::new(Code::Io, doing(), "there is no such user or group")),
    }
}

fn place(path: &Path, make: bool) -> Result<Place, Errno> {
    Place::open(path, make)
}

/// `None` where the path, or a parent of it, is absent.
fn found(path: &Path) -> Result<Option<Place>> {
    match place(path, false) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error).doing(|| format!("opening the directory of {}", path.display())),
    }
}

pub fn exists(path: &Path) -> Result<bool> {
    match found(path)? {
        Some(place) => Ok(place.stat().doing(|| format!("looking at {}", path.display()))?.is_some()),
        None => Ok(false),
    }
}

/// The numbers that tell a directory from another one under the same name; `None` if there is none.
pub fn which_directory(path: &Path) -> Result<Option<(u64, u64)>> {
    let Some(place) = found(path)? else { return Ok(None) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    Ok(stat.filter(|stat| kind(stat) == SFlag::S_IFDIR).map(|stat| (stat.st_dev, stat.st_ino)))
}

/// When a file, link or directory itself was last changed, in microseconds since 1970; `None` if there is none.
pub fn changed(path: &Path) -> Result<Option<u64>> {
    let Some(place) = found(path)? else { return Ok(None) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    let microseconds = |stat: nix::sys::stat::FileStat| stat.st_ctime * 1_000_000 + stat.st_ctime_nsec / 1000;
    Ok(stat.map(microseconds).and_then(|changed| changed.try_into().ok()))
}

/// A small file's bytes, not through a link; `None` if there is no file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let doing = || format!("reading {}", path.display());
    let Some(place) = found(path)? else { return Ok(None) };
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
    let Some(place) = found(path)? else { return Ok(Check::WouldChange("absent".into())) };
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
        Some(bytes) if bytes == content => alone(path),
        _ => Ok(Check::WouldChange("other content".into())),
    }
}

pub fn check_removed(path: &Path) -> Result<Check> {
    Ok(match stands(path)? {
        true => Check::WouldChange("there".into()),
        false => Check::AlreadySo,
    })
}

/// Replaces a file in one rename, durable before and after.
pub fn write(path: &Path, content: &[u8], owner: &Owner, mode: Mode) -> Result<()> {
    let ids = ids(owner)?;
    (|| {
        let place = place(path, true)?;
        let unfinished = unfinished(&place)?;
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

/// The unfinished name, free to be taken.
fn unfinished(place: &Place) -> Result<OsString, Errno> {
    let name = unfinished_name(&place.name);
    remove(&place.directory, &name)?;
    Ok(name)
}

/// Where a killed run leaves what was to get, or has lost, the name `path`.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(unfinished_name(path.file_name().unwrap_or_default()))
}

/// What is as it should be is so only without a killed run's other one beside it, which may hold a secret.
fn alone(path: &Path) -> Result<Check> {
    Ok(match exists(&beside(path))? {
        true => Check::WouldChange("an unfinished one beside it".into()),
        false => Check::AlreadySo,
    })
}

/// Whether there is a file or a tree of this name, or one that a killed run was about to put there or to remove.
pub fn stands(path: &Path) -> Result<bool> {
    Ok(exists(path)? || exists(&beside(path))?)
}

/// A link or a file in the place of a directory is an operator's choice, or data: this program does not replace it.
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
    let Some(place) = found(path)? else { return Ok(Check::WouldChange("absent".into())) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    let Some(stat) = stat else { return Ok(Check::WouldChange("absent".into())) };
    let owned =
        ids(owner).is_ok_and(|ids| ids.uid.as_raw() == stat.st_uid && ids.gid.as_raw() == stat.st_gid);
    match owned && permissions(&stat) == mode.0 {
        true => alone(path),
        false => Ok(Check::WouldChange(format!("another owner, or mode {:04o}", permissions(&stat)))),
    }
}

pub fn directory(path: &Path, owner: &Owner, mode: Mode) -> Result<()> {
    let ids = ids(owner)?;
    (|| {
        let place = place(path, true)?;
        if place.stat()?.is_none() {
            match make_directory(&place.directory, &place.name, ids.uid, ids.gid, mode.0) {
                Err(Errno::EEXIST) => {}
                done => return done,
            }
        }
        unfinished(&place)?;
        own(&place.open_directory()?, ids.uid, ids.gid, mode.0)
    })()
    .doing(|| format!("making {}", path.display()))
}

/// A link's target; `None` if there is nothing, or something else.
pub fn target(path: &Path) -> Result<Option<PathBuf>> {
    let Some(place) = found(path)? else { return Ok(None) };
    match readlinkat(&place.directory, place.name.as_os_str()) {
        Ok(target) => Ok(Some(target.into())),
        Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
        Err(error) => Err(error).doing(|| format!("reading the link {}", path.display())),
    }
}

pub fn check_link(path: &Path, to: &Path) -> Result<Check> {
    match target(path)? {
        Some(now) if now == to => alone(path),
        Some(now) => Ok(Check::WouldChange(format!("points to {}", now.display()))),
        None if exists(path)? => Ok(Check::WouldChange("not a link".into())),
        None => Ok(Check::WouldChange("absent".into())),
    }
}

/// Swings a link in one rename: at no moment is there none.
pub fn link(path: &Path, to: &Path, displaces: bool) -> Result<()> {
    if displaces && is_directory(path)? {
        remove_tree(path)?;
    }
    (|| {
        let place = place(path, true)?;
        let unfinished = unfinished(&place)?;
        symlinkat(to, &place.directory, unfinished.as_os_str())?;
        renameat(&place.directory, unfinished.as_os_str(), &place.directory, place.name.as_os_str())?;
        fsync(&place.directory)
    })()
    .doing(|| format!("linking {} to {}", path.display(), to.display()))
}

fn is_directory(path: &Path) -> Result<bool> {
    let Some(place) = found(path)? else { return Ok(false) };
    let stat = place.stat().doing(|| format!("looking at {}", path.display()))?;
    Ok(stat.is_some_and(|stat| kind(&stat) == SFlag::S_IFDIR))
}

/// Everything of the release's file system reaches the disk.
pub fn flush(path: &Path) -> Result<()> {
    (|| syncfs(place(path, false)?.open_directory()?))()
        .doing(|| format!("flushing {} to disk", path.display()))
}

/// Takes the name away from a tree or a file, if there is one: whatever becomes of the rest, nothing finds it whole.
pub fn put_aside(path: &Path) -> Result<()> {
    let Some(place) = found(path)? else { return Ok(()) };
    (|| {
        let aside = unfinished(&place)?;
        match renameat(&place.directory, place.name.as_os_str(), &place.directory, aside.as_os_str()) {
            Err(Errno::ENOENT) => Ok(()),
            done => done,
        }
    })()
    .doing(|| format!("removing {}", path.display()))
}

/// Gives something another name in the same directory, if it is there.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let Some(place) = found(from)? else { return Ok(()) };
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

/// Removes a tree or a file, if there is one, and what a killed run left beside it. The name goes first: a tree that
/// is half removed must not stand where a whole one is looked for.
pub fn remove_tree(path: &Path) -> Result<()> {
    put_aside(path)?;
    let Some(place) = found(path)? else { return Ok(()) };
    unfinished(&place).map(drop).doing(|| format!("removing {}", path.display()))
}

/// Removes what a killed run left, which has lost its name already.
pub fn remove_left(path: &Path) -> Result<()> {
    let Some(place) = found(path)? else { return Ok(()) };
    remove(&place.directory, &place.name).doing(|| format!("removing {}", path.display()))
}

/// With what a killed run was about to put in its place.
pub fn remove_file(path: &Path) -> Result<()> {
    let Some(place) = found(path)? else { return Ok(()) };
    let remove_file = || {
        unfinished(&place)?;
        match unlinkat(&place.directory, place.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            done => done,
        }
    };
    remove_file().doing(|| format!("removing {}", path.display()))
}

/// The text of an operator's file; none if it is absent. What has no size of its own, a FIFO, is held to the limit, too.
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

/// The names in a directory, sorted; none if it is absent.
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
