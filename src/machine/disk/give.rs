//! Gives the files of one user to another, entry by entry from an open directory. It follows no symbolic link, and refuses
//! hard links: chown(2) as root through one of them would change a file that is elsewhere.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::path_at::kind;

/// Each level of the recursion holds open descriptors and stack.
const DEEPEST: usize = 64;
const OPEN: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_DIRECTORY);

/// All entries below the directory that belong to `from`. A directory is given away after what is in it.
pub fn give(directory: &OwnedFd, from: u32, uid: Uid, gid: Gid) -> anyhow::Result<()> {
    within(directory, from, (uid, gid), 0)
}

fn within(directory: &OwnedFd, from: u32, to: (Uid, Gid), depth: usize) -> anyhow::Result<()> {
    anyhow::ensure!(depth < DEEPEST, "it is more than {DEEPEST} directories deep");
    let mut entries = Dir::openat(directory, ".", OPEN, Mode::empty())?;
    for entry in entries.iter() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            one(directory, name, from, to, depth)
                .map_err(|error| error.context(Path::new(name).display().to_string()))?;
        }
    }
    Ok(())
}

fn one(directory: &OwnedFd, name: &OsStr, from: u32, to: (Uid, Gid), depth: usize) -> anyhow::Result<()> {
    let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if kind(&stat) == SFlag::S_IFDIR {
        let inner = openat(directory, name, OPEN, Mode::empty())?;
        within(&inner, from, to, depth + 1)?;
        if stat.st_uid == from {
            fchown(&inner, Some(to.0), Some(to.1))?;
        }
        return Ok(());
    }
    if stat.st_uid == from {
        anyhow::ensure!(stat.st_nlink == 1, "it has more than one hard link");
        fchownat(directory, name, Some(to.0), Some(to.1), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown, symlink};

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        nix::fcntl::open(path, OPEN, Mode::empty()).unwrap()
    }

    fn uid(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().uid()
    }

    #[test]
    fn the_former_user_s_files_are_given_and_no_others() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (tree, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| tree.path().join(name);
        std::fs::create_dir_all(path("base/1")).unwrap();
        for name in ["base/1/rows", "root-s"] {
            std::fs::write(path(name), "x").unwrap();
        }
        let target = elsewhere.path().join("shadow");
        std::fs::write(&target, "x").unwrap();
        symlink(&target, path("link")).unwrap();
        for name in ["base", "base/1", "base/1/rows"] {
            chown(path(name), Some(4001), Some(4001)).unwrap();
        }
        std::os::unix::fs::lchown(path("link"), Some(4001), Some(4001)).unwrap();
        give(&open(tree.path()), 4001, Uid::from_raw(4002), Gid::from_raw(4002)).unwrap();
        for name in ["base", "base/1", "base/1/rows", "link"] {
            assert_eq!(uid(&path(name)), 4002, "{name}");
        }
        assert_eq!((uid(&path("root-s")), uid(&target)), (0, 0));
    }

    #[test]
    fn a_second_name_of_a_file_is_refused() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("rows");
        std::fs::write(&file, "x").unwrap();
        chown(&file, Some(4001), Some(4001)).unwrap();
        std::fs::hard_link(&file, tree.path().join("again")).unwrap();
        let error = give(&open(tree.path()), 4001, Uid::from_raw(4002), Gid::from_raw(4002)).unwrap_err();
        assert!(format!("{error:#}").contains("hard link"), "{error:#}");
        assert_eq!(uid(&file), 4001);
    }
}
