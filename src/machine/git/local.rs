//! A repository of this machine: exactly the one that is named, never one that is found by walking upwards, and
//! by root only one that nobody else could have written.

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
use crate::secret::{ForeignText, Message, without_userinfo};

/// A path and a few words.
const LONGEST_LINK: u64 = 8 << 10;

/// As whom root has a repository read: the first owner but root of the directory that is named and of the `.git` in
/// it. Whoever wrote a repository can read it. `None` if root itself is to read it.
pub fn reader(path: &Path) -> Option<u32> {
    let owners = [metadata(path), symlink_metadata(path.join(".git"))];
    owners.into_iter().flatten().map(|data| data.uid()).find(|uid| geteuid().is_root() && *uid != 0)
}

pub(super) fn open(path: &Path) -> Result<Repository> {
    let doing = || format!("opening the repository at {}", without_userinfo(&path.to_string_lossy()));
    let no_repository = |cause: Message| Error::new(Code::RepositoryInvalid, doing(), cause);
    let git = git_directory(path).map_err(|cause| no_repository(cause.into()))?;
    if geteuid().is_root() {
        refuse_foreign(path, &git).map_err(|cause| {
            no_repository(cause.into())
                .remedy("run this as the user to whom the repository belongs, or give all of it to root")
        })?;
    }
    libgit2::open(&git).map_err(|error| {
        let cause = ForeignText::message(error.message());
        match unsupported::on_disk(&cause) {
            Some(cause) => Fault::GitUnsupported.error(doing(), cause).remedy(unsupported::REMEDY),
            None => no_repository(cause.into()).remedy(top_of(path)),
        }
    })
}

/// What a working tree says where its repository is (`.git`, a directory or a file); a bare repository is one itself.
fn git_directory(path: &Path) -> Result<PathBuf, String> {
    let inside = path.join(".git");
    match metadata(&inside) {
        Ok(data) if data.is_dir() => Ok(inside),
        Ok(data) => match link(&inside, &data)?.strip_prefix("gitdir: ") {
            Some(at) => Ok(path.join(at)),
            None => Err(format!("{} does not say where the repository is", inside.display())),
        },
        Err(_) => Ok(path.to_owned()),
    }
}

/// The repository to which a further working tree's directory belongs, if it is one.
fn common_directory(git: &Path) -> Result<Option<PathBuf>, String> {
    let link_file = git.join("commondir");
    let Ok(data) = metadata(&link_file) else { return Ok(None) };
    Ok(Some(git.join(link(&link_file, &data)?)))
}

/// The one line of a file by which git leads elsewhere.
fn link(path: &Path, data: &Metadata) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        // A pipe that took the file's place must not hold this up.
        let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path)?;
        file.take(LONGEST_LINK).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text.trim_end_matches('\n').to_owned())
    };
    match data.is_file() {
        true => read().map_err(|error| format!("reading {}: {error}", path.display())),
        false => Err(format!("{} is not a file", path.display())),
    }
}

/// Others could have libgit2 read, as root, what they made up: objects, a configuration, links to other places.
fn refuse_foreign(path: &Path, git: &Path) -> Result<(), String> {
    let common = common_directory(git)?;
    let opened = [Some(git), common.as_deref()].into_iter().flatten();
    for (at, is_opened) in opened.map(|at| (at, true)).chain([(path, false)]) {
        let Ok(data) = metadata(at) else { continue };
        let (at, uid, mode) = (at.display(), data.uid(), data.mode() & 0o7777);
        if uid != 0 {
            return Err(format!("{at} belongs to uid {uid}, and root opens only what is its own"));
        }
        if is_opened && mode & 0o022 != 0 {
            return Err(format!("others than root can change {at} (mode {mode:04o})"));
        }
    }
    Ok(())
}

/// A directory within a repository is not the repository: its name is told, and not taken.
fn top_of(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match real.ancestors().skip(1).find(|above| above.join(".git").exists()) {
        Some(top) => format!("name the top directory of the repository: {}", top.display()),
        None => "name the top directory of a git repository".to_owned(),
    }
}
