//! The machine's swap file: made once, of whole blocks, readable for root only, and never at the cost of a full disk.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, FsType, statfs};
use nix::sys::statvfs::statvfs;

use crate::error::{Code, Coded, Error, Result};
use crate::machine::disk::files;
use crate::machine::disk::path_at::unfinished_name;
use crate::machine::process::program::{self, failed, how_it_ended};
use crate::machine::process::units;
use crate::machine::{Check, blocking};
use crate::plan::MakeSwap;

/// What must stay free: releases, packages and logs need room, too.
const FREE: u64 = 1 << 30;
const TOOL: Duration = Duration::from_secs(60);
/// statfs(2); nix has no name for it with musl.
const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);

pub fn check(wanted: &MakeSwap) -> Result<Check> {
    let was = match size(&wanted.path)? {
        None => "absent",
        Some(size) if size != bytes(wanted) => "of another size",
        Some(_) if !is_used(&swaps(), &wanted.path) => "not in use",
        Some(_) => return Ok(Check::AlreadySo),
    };
    Ok(Check::WouldChange(was.to_owned()))
}

pub async fn make(wanted: &MakeSwap) -> Result<()> {
    if size(&wanted.path)?.is_some_and(|size| size != bytes(wanted)) {
        // Fails if the memory has no room for what was swapped out: then the file stays.
        units::stop(&wanted.unit).await?;
        if is_used(&swaps(), &wanted.path) {
            return Err(refused(wanted, "the file of another size is still in use".to_owned()));
        }
        files::remove_file(&wanted.path)?;
    }
    if size(&wanted.path)?.is_none() {
        format(wanted).await?;
    }
    units::forget_failed(&wanted.unit).await;
    let output = program::run(&["systemctl", "start", "--", &wanted.unit], None, TOOL, 64 << 10).await?;
    match output.ok() && is_used(&swaps(), &wanted.path) {
        true => Ok(()),
        false => {
            let cause = format!("the kernel does not swap to it: {}: {}", wanted.unit, how_it_ended(&output));
            Err(refused(wanted, cause).saying(output.both_ends()))
        }
    }
}

/// Makes the file under an unfinished name, which a run that is killed leaves and the next one replaces.
async fn format(wanted: &MakeSwap) -> Result<()> {
    let new = unfinished(&wanted.path);
    files::remove_tree(&new)?;
    let (of, at) = (wanted.clone(), new.clone());
    let allocated = blocking(move || allocate(&of, &at)).await;
    let done = match allocated {
        Ok(()) => tools(wanted, &new).await,
        Err(error) => Err(error),
    };
    if done.is_err() {
        files::remove_tree(&new)?;
    }
    done?;
    files::rename(&new, &wanted.path)
}

async fn tools(wanted: &MakeSwap, new: &Path) -> Result<()> {
    let new = new.display().to_string();
    let label: [&str; 3] = ["chcon", "--type=swapfile_t", &new];
    let mkswap: [&str; 2] = ["mkswap", &new];
    for argv in [Some(&mkswap[..]), wanted.labels.then_some(&label[..])].into_iter().flatten() {
        let output = program::run(argv, None, TOOL, 64 << 10).await?;
        if !output.ok() {
            return Err(failed(Code::SwapFailed, doing(wanted), &output));
        }
    }
    Ok(())
}

/// Not a sparse file: the kernel does not swap to one with holes.
fn allocate(wanted: &MakeSwap, new: &Path) -> Result<()> {
    let directory = wanted.path.parent().unwrap_or(Path::new("/"));
    let kind = statfs(directory).doing(|| doing(wanted))?.filesystem_type();
    if !takes_swap(kind) {
        let cause = format!("{} is neither on ext4 nor on XFS", directory.display());
        return Err(refused(wanted, cause));
    }
    let room = statvfs(directory).doing(|| doing(wanted))?;
    let free = room.blocks_available().saturating_mul(room.fragment_size());
    let needed = bytes(wanted).saturating_add(FREE);
    if free < needed {
        let cause = format!(
            "the disk has {} MiB free; the file of {} MiB must leave {} MiB",
            free >> 20,
            wanted.mib,
            FREE >> 20
        );
        return Err(refused(wanted, cause));
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new);
    let file: File = file.doing(|| doing(wanted))?;
    let length = i64::try_from(bytes(wanted)).unwrap_or(i64::MAX);
    match fallocate(&file, FallocateFlags::empty(), 0, length) {
        Ok(()) => file.sync_all().doing(|| doing(wanted)),
        Err(Errno::EOPNOTSUPP) => Err(refused(wanted, "the file system cannot allocate it".to_owned())),
        Err(error) => Err(error).doing(|| doing(wanted)),
    }
}

/// On btrfs a swap file needs attributes that cannot be had later; an overlay or a tmpfs takes none.
fn takes_swap(kind: FsType) -> bool {
    [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC].contains(&kind)
}

fn bytes(wanted: &MakeSwap) -> u64 {
    wanted.mib << 20
}

fn size(path: &Path) -> Result<Option<u64>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(if found.is_file() && found.blocks() > 0 { found.size() } else { 0 })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(|| format!("looking at {}", path.display())),
    }
}

fn swaps() -> String {
    std::fs::read_to_string("/proc/swaps").unwrap_or_default()
}

/// Whether the kernel's list has this file: a line for each, which begins with its path.
fn is_used(swaps: &str, path: &Path) -> bool {
    swaps
        .lines()
        .skip(1)
        .any(|line| line.split_whitespace().next().is_some_and(|name| Path::new(name) == path))
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_file_name(unfinished_name(path.file_name().unwrap_or_default()))
}

fn doing(wanted: &MakeSwap) -> String {
    format!("making the swap file {}", wanted.path.display())
}

fn refused(wanted: &MakeSwap, cause: String) -> Error {
    Error::new(Code::SwapFailed, doing(wanted), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(path: &Path, mib: u64) -> MakeSwap {
        MakeSwap { path: path.to_owned(), mib, unit: "x.swap".to_owned(), labels: false }
    }

    #[test]
    fn the_kernel_s_list_says_what_is_in_use() {
        let list = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/var/lib/bootagent/swap                 file\t\t2097148\t\t0\t\t-2\n";
        assert!(is_used(list, Path::new("/var/lib/bootagent/swap")));
        assert!(!is_used(list, Path::new("/var/lib/bootagent")));
        assert!(!is_used("Filename Type\n", Path::new("Filename")));
    }

    #[test]
    fn only_ext4_and_xfs_take_a_swap_file() {
        assert!(takes_swap(EXT4_SUPER_MAGIC) && takes_swap(XFS_SUPER_MAGIC));
        for kind in [
            nix::sys::statfs::BTRFS_SUPER_MAGIC,
            nix::sys::statfs::OVERLAYFS_SUPER_MAGIC,
            nix::sys::statfs::TMPFS_MAGIC,
        ] {
            assert!(!takes_swap(kind));
        }
    }

    #[test]
    fn another_size_and_an_empty_file_are_not_what_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("swap");
        let said = |path: &Path| match check(&wanted(path, 1)).unwrap() {
            Check::AlreadySo => "as wanted".to_owned(),
            Check::WouldChange(was) => was,
        };
        assert_eq!(said(&path), "absent");
        std::fs::write(&path, [1; 4096]).unwrap();
        assert_eq!(said(&path), "of another size");
        std::fs::write(&path, vec![1; 1 << 20]).unwrap();
        assert_eq!(said(&path), "not in use");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(said(&path), "of another size");
    }

    #[test]
    fn a_disk_without_room_for_it_and_more_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("swap");
        let error = allocate(&wanted(&path, 1 << 30), &unfinished(&path)).unwrap_err();
        assert_eq!(error.code(), Code::SwapFailed);
        assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
    }
}
