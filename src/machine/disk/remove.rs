//! A tree is removed, however deep: whoever made it may have wished that its removal fails.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// So many directories are open at once, and so deep is the stack. What lies deeper is moved up first.
const DEEPEST: usize = 64;
const OPEN: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_DIRECTORY);

/// A file, a link (not what it leads to), or a directory with all that is in it.
pub fn remove(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    if !is_directory(unlinkat(parent, name, UnlinkatFlags::NoRemoveDir))? {
        return Ok(());
    }
    let top = openat(parent, name, OPEN, Mode::empty())?;
    let mut tree = Tree { top: &top, moved: 0 };
    while tree.empty(&top, 0)? {}
    gone(unlinkat(parent, name, UnlinkatFlags::RemoveDir))
}

struct Tree<'a> {
    top: &'a OwnedFd,
    moved: usize,
}

impl Tree<'_> {
    /// Whether something was moved up meanwhile, and is still to be removed.
    fn empty(&mut self, directory: &OwnedFd, depth: usize) -> Result<bool, Errno> {
        let moved = self.moved;
        let mut entries = Dir::openat(directory, ".", OPEN, Mode::empty())?;
        for entry in entries.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.one(directory, name, depth)?;
            }
        }
        Ok(self.moved > moved)
    }

    fn one(&mut self, directory: &OwnedFd, name: &OsStr, depth: usize) -> Result<(), Errno> {
        if !is_directory(unlinkat(directory, name, UnlinkatFlags::NoRemoveDir))? {
            return Ok(());
        }
        if depth == DEEPEST {
            return self.move_up(directory, name);
        }
        self.empty(&openat(directory, name, OPEN, Mode::empty())?, depth + 1)?;
        gone(unlinkat(directory, name, UnlinkatFlags::RemoveDir))
    }

    /// Under a name that is free: one that is taken by a directory with something in it is not replaced.
    fn move_up(&mut self, directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        loop {
            self.moved += 1;
            match renameat(
                directory,
                name,
                self.top,
                OsString::from(format!(".deep-{}", self.moved)).as_os_str(),
            ) {
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
                done => return done,
            }
        }
    }
}

/// Whether it is a directory, and so still there.
fn is_directory(unlinked: Result<(), Errno>) -> Result<bool, Errno> {
    match unlinked {
        Err(Errno::EISDIR) => Ok(true),
        other => gone(other).map(|()| false),
    }
}

fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use nix::sys::stat::mkdirat;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    fn removed(path: &Path) -> Result<(), Errno> {
        remove(&open(path.parent().unwrap()), path.file_name().unwrap())
    }

    #[test]
    fn everything_goes_and_nothing_that_a_link_leads_to() {
        let scratch = tempfile::tempdir().unwrap();
        let (tree, kept) = (scratch.path().join("tree"), scratch.path().join("kept"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        symlink(&kept, tree.join("a/link")).unwrap();
        symlink(&kept, tree.join("link")).unwrap();
        removed(&tree).unwrap();
        assert!(!tree.exists() && kept.join("file").exists());

        symlink(&kept, &tree).unwrap();
        removed(&tree).unwrap();
        assert!(!tree.is_symlink() && kept.join("file").exists());
        removed(&tree).unwrap();
    }

    /// Deeper than a process may open files, and than its stack reaches; with names in the way.
    #[test]
    fn depth_is_no_defence() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir_all(tree.join(".deep-1/full")).unwrap();
        fs::write(tree.join(".deep-2"), "x").unwrap();
        let mut directory = open(&tree);
        for _ in 0..20_000 {
            mkdirat(&directory, "d", Mode::S_IRWXU).unwrap();
            directory = openat(&directory, "d", OPEN, Mode::empty()).unwrap();
        }
        drop(directory);
        removed(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn what_cannot_be_removed_is_told() {
        assert_eq!(removed(Path::new("/proc/self")).unwrap_err(), Errno::EPERM);
    }
}
