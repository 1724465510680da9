//! Gives a tree that another user wrote to root, entry by entry from an open directory. It follows no symbolic link
//! and refuses hard links: chown(2) as root through one of them would change a file outside the tree.
//!
//! The tree is not copied, because a runtime has over a hundred megabytes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::inside::leads_below;
use super::path_at::{kind, permissions};

/// Each level of the recursion holds open descriptors and stack, which a crafted archive must not exhaust.
const DEEPEST: usize = 64;
/// O_NONBLOCK: the open must not wait for a writer if the entry is a FIFO by now.
const OPEN: OFlag = OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK);

/// The directory and all below it become root's: directories and executables 0755, other files 0644.
pub fn adopt(directory: &OwnedFd) -> anyhow::Result<()> {
    adopt_directory(directory, 0)
}

fn adopt_directory(directory: &OwnedFd, depth: usize) -> anyhow::Result<()> {
    anyhow::ensure!(depth < DEEPEST, "it is more than {DEEPEST} directories deep");
    let mut entries = Dir::openat(directory, ".", OPEN | OFlag::O_DIRECTORY, Mode::empty())?;
    for entry in entries.iter() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            adopt_entry(directory, name, depth)
                .map_err(|error| error.context(Path::new(name).display().to_string()))?;
        }
    }
    give_to_root(directory, 0o755)
}

fn adopt_entry(directory: &OwnedFd, name: &OsStr, depth: usize) -> anyhow::Result<()> {
    let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    match kind(&stat) {
        SFlag::S_IFDIR => {
            adopt_directory(&openat(directory, name, OPEN | OFlag::O_DIRECTORY, Mode::empty())?, depth + 1)
        }
        SFlag::S_IFREG => {
            let file = openat(directory, name, OPEN, Mode::empty())?;
            let stat = fstat(&file)?;
            // A second name of the file could be in a directory where other users write.
            anyhow::ensure!(
                kind(&stat) == SFlag::S_IFREG && stat.st_nlink == 1,
                "it has more than one hard link"
            );
            give_to_root(&file, if permissions(&stat) & 0o111 == 0 { 0o644 } else { 0o755 })
        }
        SFlag::S_IFLNK => {
            let target = readlinkat(directory, name)?;
            anyhow::ensure!(leads_below(depth, Path::new(&target)), "it leads out of the tree");
            let nofollow = AtFlags::AT_SYMLINK_NOFOLLOW;
            Ok(fchownat(directory, name, Some(Uid::from_raw(0)), Some(Gid::from_raw(0)), nofollow)?)
        }
        _ => anyhow::bail!("it is not a file, a directory or a symbolic link"),
    }
}

/// Sets the owner first, because the former owner could change the mode again.
fn give_to_root(fd: impl AsFd, mode: u32) -> anyhow::Result<()> {
    fchown(&fd, Some(Uid::from_raw(0)), Some(Gid::from_raw(0)))?;
    Ok(fchmod(&fd, Mode::from_bits_truncate(mode))?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        openat(nix::fcntl::AT_FDCWD, path, OPEN | OFlag::O_DIRECTORY, Mode::empty()).unwrap()
    }

    /// Adopts a tree with a program, a link, and what `put` adds.
    fn adopted(put: impl FnOnce(&Path)) -> (tempfile::TempDir, anyhow::Result<()>) {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::write(tree.join("bin/node"), "node").unwrap();
        fs::set_permissions(tree.join("bin/node"), PermissionsExt::from_mode(0o4777)).unwrap();
        symlink("node", tree.join("bin/nodejs")).unwrap();
        put(&tree);
        let done = adopt(&open(&tree));
        (scratch, done)
    }

    fn is_root() -> bool {
        nix::unistd::geteuid().is_root()
    }

    #[test]
    fn root_owns_all_entries_with_plain_modes() {
        if !is_root() {
            return;
        }
        let (scratch, done) = adopted(|tree| {
            for path in ["bin/node", "bin", ""] {
                std::os::unix::fs::chown(tree.join(path), Some(12345), Some(12345)).unwrap();
            }
            std::os::unix::fs::lchown(tree.join("bin/nodejs"), Some(12345), Some(12345)).unwrap();
        });
        done.unwrap();
        for (path, mode) in [("tree", 0o755), ("tree/bin", 0o755), ("tree/bin/node", 0o755)] {
            let data = fs::metadata(scratch.path().join(path)).unwrap();
            assert_eq!((data.uid(), data.gid(), data.mode() & 0o7777), (0, 0, mode), "{path}");
        }
        assert_eq!(fs::symlink_metadata(scratch.path().join("tree/bin/nodejs")).unwrap().uid(), 0);
    }

    #[test]
    fn entries_that_reach_out_of_the_tree_are_refused() {
        if !is_root() {
            return;
        }
        let hard_link =
            |tree: &Path| fs::hard_link(tree.join("bin/node"), tree.with_file_name("other")).unwrap();
        assert!(adopted(hard_link).1.unwrap_err().root_cause().to_string().contains("hard link"));
        let absolute = |tree: &Path| symlink("/etc/shadow", tree.join("shadow")).unwrap();
        assert!(adopted(absolute).1.unwrap_err().root_cause().to_string().contains("leads out"));
        let above = |tree: &Path| symlink("../../other", tree.join("bin/up")).unwrap();
        assert!(adopted(above).1.is_err());
        let pipe = |tree: &Path| nix::unistd::mkfifo(&tree.join("pipe"), Mode::S_IRUSR).unwrap();
        assert!(adopted(pipe).1.is_err());
    }
}
