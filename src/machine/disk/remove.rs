//! Removes a tree of any depth. An untrusted user wrote it, and can nest directories so deep that a plain recursion
//! runs out of descriptors or stack, and every clean-up fails.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Bounds open descriptors and stack depth. Deeper directories are first moved to the top of the tree.
const DEEPEST: usize = 64;
const OPEN: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_DIRECTORY);

/// Removes a file, a symbolic link (not its target), or a directory with everything in it, if it exists.
pub fn remove(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    if !is_directory(unlinkat(parent, name, UnlinkatFlags::NoRemoveDir))? {
        return Ok(());
    }
    let top = openat(parent, name, OPEN, Mode::empty())?;
    let mut tree = Tree { top: &top, moved: 0 };
    while tree.empty(&top, 0)? {}
    absent_is_ok(unlinkat(parent, name, UnlinkatFlags::RemoveDir))
}

struct Tree<'a> {
    top: &'a OwnedFd,
    /// How often a name for a moved directory was tried.
    moved: usize,
}

impl Tree<'_> {
    /// Empties a directory. True if directories were moved to the top, which must then be emptied again.
    fn empty(&mut self, directory: &OwnedFd, depth: usize) -> Result<bool, Errno> {
        let moved = self.moved;
        let mut entries = Dir::openat(directory, ".", OPEN, Mode::empty())?;
        for entry in entries.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.remove_entry(directory, name, depth)?;
            }
        }
        Ok(self.moved > moved)
    }

    fn remove_entry(&mut self, directory: &OwnedFd, name: &OsStr, depth: usize) -> Result<(), Errno> {
        if !is_directory(unlinkat(directory, name, UnlinkatFlags::NoRemoveDir))? {
            return Ok(());
        }
        if depth == DEEPEST {
            return self.move_up(directory, name);
        }
        self.empty(&openat(directory, name, OPEN, Mode::empty())?, depth + 1)?;
        absent_is_ok(unlinkat(directory, name, UnlinkatFlags::RemoveDir))
    }

    /// Moves a directory to the top, under a name that is free or is an empty directory's, which rename(2) replaces.
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

/// Whether unlinkat(2) refused, because the name is a directory's.
fn is_directory(unlinked: Result<(), Errno>) -> Result<bool, Errno> {
    match unlinked {
        Err(Errno::EISDIR) => Ok(true),
        other => absent_is_ok(other).map(|()| false),
    }
}

fn absent_is_ok(removed: Result<(), Errno>) -> Result<(), Errno> {
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
    fn a_tree_is_removed_without_the_targets_of_its_links() {
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

    /// Deeper than the limit of open files and the stack allow, with two of the names for moved directories taken.
    #[test]
    fn a_tree_of_any_depth_is_removed() {
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
    fn a_failed_removal_is_an_error() {
        assert_eq!(removed(Path::new("/proc/self")).unwrap_err(), Errno::EPERM);
    }
}
