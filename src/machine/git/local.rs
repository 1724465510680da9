//! Opens a local repository: exactly the one that is named, not one in a directory above. Root opens only a repository
//! that no other user can change.

use std::fs::{File, Metadata, metadata, symlink_metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use git2::Repository;
use nix::libc::O_NONBLOCK;
use nix::unistd::geteuid;

use super::{libgit2, unsupported};
use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::machine::disk::owned;
use crate::secret::{ForeignText, Message, without_userinfo};

/// In bytes, for files such as `.git` of a worktree: a word and a path.
const LONGEST_LINK: u64 = 8 << 10;

/// The user as whom root's child reads a repository: its owner, so that libgit2 does not parse another user's files as
/// root. The owner is that of the directory or, if root owns it, of its `.git`. `None`: the user of this process.
pub fn reader(path: &Path) -> Option<u32> {
    let owners = [metadata(path), symlink_metadata(path.join(".git"))];
    owners.into_iter().flatten().map(|data| data.uid()).find(|uid| geteuid().is_root() && *uid != 0)
}

/// `E-REPOSITORY-INVALID` if there is no repository, or root must not open it.
pub(super) fn open(path: &Path) -> Result<Repository> {
    let doing = || format!("opening the repository at {}", without_userinfo(&path.to_string_lossy()));
    let invalid = |cause: Message| Error::new(Code::RepositoryInvalid, doing(), cause);
    let git = git_directory(path).map_err(|cause| invalid(cause.into()))?;
    if geteuid().is_root() {
        refuse_foreign(path, &git).map_err(|cause| {
            invalid(cause.into())
                .remedy("run this as the user who owns the repository, or give all of it to root (chown -R)")
        })?;
    }
    libgit2::open(&git).map_err(|error| {
        let cause = ForeignText::message(error.message());
        match unsupported::on_disk(&cause) {
            Some(cause) => Fault::GitUnsupported.error(doing(), cause).remedy(unsupported::REMEDY),
            None => invalid(cause.into()).remedy(top_of(path)),
        }
    })
}

/// The git directory of a working tree (`.git`, a directory or a file that names one), or of a bare repository.
fn git_directory(path: &Path) -> Result<PathBuf, String> {
    let inside = path.join(".git");
    match metadata(&inside) {
        Ok(data) if data.is_dir() => Ok(inside),
        Ok(data) => match reference(&inside, &data)?.strip_prefix("gitdir: ") {
            Some(at) => Ok(path.join(at)),
            None => Err(format!("{} has no line gitdir: PATH", inside.display())),
        },
        Err(_) => Ok(path.to_owned()),
    }
}

/// The git directory of the main repository, if this is one of `git worktree add`.
fn common_directory(git: &Path) -> Result<Option<PathBuf>, String> {
    let link_file = git.join("commondir");
    let Ok(data) = metadata(&link_file) else { return Ok(None) };
    Ok(Some(git.join(reference(&link_file, &data)?)))
}

/// The line of a file that refers to a git directory.
fn reference(path: &Path, data: &Metadata) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        // Opening must not block if a FIFO has replaced the file.
        let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path)?;
        file.take(LONGEST_LINK).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text.trim_end_matches('\n').to_owned())
    };
    match data.is_file() {
        true => read().map_err(|error| format!("reading {}: {error}", path.display())),
        false => Err(format!("{} is not a file", path.display())),
    }
}

/// Keeps libgit2, as root, from reading what other users wrote: objects, configuration, links to other places.
fn refuse_foreign(path: &Path, git: &Path) -> Result<(), String> {
    let common = common_directory(git)?;
    let opened = [Some(git), common.as_deref()].into_iter().flatten();
    for (at, is_opened) in opened.map(|at| (at, true)).chain([(path, false)]) {
        let Ok(data) = metadata(at) else { continue };
        let (uid, mode) = (data.uid(), data.mode());
        if uid != 0 {
            let at = at.display();
            return Err(format!("{at} belongs to uid {uid}, and root opens only repositories of root"));
        }
        if is_opened && owned::is_open(mode) {
            return Err(owned::cause_others_can_write(at, mode, None));
        }
    }
    Ok(())
}

/// The remedy. A directory inside a repository is not opened as that repository, but the remedy names it.
fn top_of(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match real.ancestors().skip(1).find(|above| above.join(".git").exists()) {
        Some(top) => format!("name the top directory of the repository: {}", top.display()),
        None => "name the top directory of a git repository".to_owned(),
    }
}
