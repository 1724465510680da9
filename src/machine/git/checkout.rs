//! Writes a commit's files into a release, in a child process, with the bytes and modes that git stores.
//!
//! libgit2's checkout is not used: it converts line ends, runs filters, obeys the repository's configuration, and opens
//! files by path, so that a symbolic link could lead it elsewhere. Here every file is made new below an open directory.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use git2::{Odb, Oid};
use nix::dir::Dir;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{geteuid, symlinkat};

use super::inspect::{self, Inspected, Item};
use super::pointer::Pointer;
use super::request::CheckoutRequest;
use super::{lfs, libgit2, submodules};
use crate::error::{Code, Coded, Error, Result};
use crate::facts::EntryKind;
use crate::secret::ForeignText;

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const NEW_FILE: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Fills the empty directory `release` with the commit's tree. Modes are git's: the child's umask of 022
/// takes nothing from 0644 and 0755.
pub fn checkout(request: &CheckoutRequest) -> Result<()> {
    libgit2::set_up()?;
    let doing = || format!("checking out {}", request.commit.short());
    let failed =
        |error: git2::Error| Error::new(Code::CheckoutFailed, doing(), ForeignText::message(error.message()));
    let repository = libgit2::open(&request.repository).map_err(failed)?;
    let commit = Oid::from_str(request.commit.as_str()).map_err(failed)?;
    // Inspected again: the child that fetched this parsed an untrusted pack, which may have taken control of it.
    let Inspected { items, gitlinks, missing } = inspect::inspect(&repository, commit, &request.limits)?;
    if let Some(missing) = missing.first() {
        return Err(submodules::refused(missing, "its commit is not among what was fetched".to_owned()));
    }
    let is_absent = |pointer: &Pointer| !lfs::path(&request.repository, pointer).exists();
    if let Some(item) = items.iter().find(|item| item.lfs.as_ref().is_some_and(is_absent)) {
        return Err(lfs::refused(&item.path, "it is not among what was fetched"));
    }
    let root = empty_directory(&request.release)?;
    let odb = repository.odb().map_err(failed)?;
    let mut writer = Writer {
        odb,
        repository: request.repository.clone(),
        open: vec![Folder { name: String::new(), fd: root }],
    };
    let files = items.iter().map(|item| (item.path.as_str(), Some(item)));
    let mut all: Vec<_> = files.chain(gitlinks.iter().map(|path| (path.as_str(), None))).collect();
    all.sort_unstable_by_key(|(path, _)| *path);
    for (path, item) in all {
        let written = match item {
            Some(item) => writer.write(item),
            None => writer.enter(path).map_err(Into::into),
        };
        written.coded(Code::CheckoutFailed, || format!("writing {}", path.escape_debug()))?;
    }
    Ok(())
}

/// Opens the release, which must be an empty directory of this process's user.
fn empty_directory(path: &Path) -> Result<OwnedFd> {
    let doing = || format!("opening the release {}", path.display());
    let fd = open(path, FOLDER, Mode::empty()).coded(Code::CheckoutFailed, doing)?;
    let owner = fstat(&fd).coded(Code::CheckoutFailed, doing)?.st_uid;
    if owner != geteuid().as_raw() {
        return Err(Error::new(
            Code::CheckoutFailed,
            doing(),
            format!("it belongs to uid {owner}, not to the user of the checkout"),
        ));
    }
    let mut entries = Dir::openat(&fd, ".", FOLDER, Mode::empty()).coded(Code::CheckoutFailed, doing)?;
    for entry in entries.iter() {
        let entry = entry.coded(Code::CheckoutFailed, doing)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Err(Error::new(Code::CheckoutFailed, doing(), "it is not empty"));
        }
    }
    Ok(fd)
}

/// Writes files; holds open all directories from the release down to that of the last file.
struct Writer<'r> {
    odb: Odb<'r>,
    repository: PathBuf,
    open: Vec<Folder>,
}

struct Folder {
    name: String,
    fd: OwnedFd,
}

impl Writer<'_> {
    fn write(&mut self, item: &Item) -> anyhow::Result<()> {
        let (directories, name) = item.path.rsplit_once('/').unwrap_or(("", &item.path));
        self.enter(directories)?;
        if let Some(pointer) = &item.lfs {
            let mode = if item.kind == EntryKind::Executable { 0o755 } else { 0o644 };
            return large(self.current()?, name, &lfs::path(&self.repository, pointer), pointer, mode);
        }
        let content = self.odb.read(item.blob)?;
        let folder = self.current()?;
        match item.kind {
            EntryKind::Symlink => symlinkat(content.data(), folder, name)?,
            EntryKind::File => file(folder, name, content.data(), 0o644)?,
            EntryKind::Executable => file(folder, name, content.data(), 0o755)?,
        }
        Ok(())
    }

    /// Makes and opens these directories. Files come sorted by path, so each directory is made once.
    fn enter(&mut self, directories: &str) -> nix::Result<()> {
        let parts: Vec<&str> = directories.split('/').filter(|part| !part.is_empty()).collect();
        let same =
            self.open.iter().skip(1).zip(&parts).take_while(|(folder, part)| folder.name == **part).count();
        self.open.truncate(same + 1);
        for part in &parts[same..] {
            let fd = make_directory(self.current()?, part)?;
            self.open.push(Folder { name: (*part).to_owned(), fd });
        }
        Ok(())
    }

    fn current(&self) -> nix::Result<&OwnedFd> {
        self.open.last().map(|folder| &folder.fd).ok_or(nix::errno::Errno::EBADF)
    }
}

/// Fails if the name exists. Does not follow a link that may have replaced the new directory.
fn make_directory(parent: impl AsFd, name: &str) -> nix::Result<OwnedFd> {
    let mode = Mode::from_bits_truncate(0o755);
    mkdirat(&parent, name, mode)?;
    let fd = openat(&parent, name, FOLDER, Mode::empty())?;
    Ok(fd)
}

/// The file that a pointer of Git LFS stands for. Checked again: the child that fetched it may have been taken over.
fn large(folder: impl AsFd, name: &str, from: &Path, pointer: &Pointer, mode: u32) -> anyhow::Result<()> {
    let mut from = File::open(from)?;
    let mut file = File::from(openat(folder, name, NEW_FILE, Mode::from_bits_truncate(mode))?);
    match lfs::copy(&mut from, &mut file, pointer) {
        Ok(true) => Ok(()),
        Ok(false) => Err(anyhow::anyhow!("what was fetched is not the file that the Git LFS pointer names")),
        Err(lfs::Copying::Read(error) | lfs::Copying::Write(error)) => Err(error.into()),
    }
}

fn file(folder: impl AsFd, name: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let mode = Mode::from_bits_truncate(mode);
    let mut file = File::from(openat(folder, name, NEW_FILE, mode)?);
    file.write_all(content)?;
    Ok(())
}
