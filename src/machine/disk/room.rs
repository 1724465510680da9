//! Free space of file systems, for the messages of disk-full errors.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{Statvfs, statvfs};

use crate::error::{Code, Error};
use crate::facts::FileSystem;
use crate::fault::Fault;
use crate::plan::layout;

/// Describes the file system with the least free space, of those that these paths are on.
pub fn fullest(paths: &[PathBuf]) -> String {
    let known = paths.iter().filter_map(|path| Some((path, statistics(path)?)));
    match known.min_by_key(|(_, room)| least_first(room)) {
        Some((path, room)) => described(path, &room),
        None => "the free space is unknown".to_owned(),
    }
}

/// Bytes that a deployment writes below `/run/bootagent`, from its environment to its last record, with the status.
const SWITCH: u64 = 64 << 10;

/// An error if a file of the running deployment could be written, and those behind it could not: the service would be restarted,
/// and the way back would need room as well.
pub fn for_a_switch(path: &Path) -> Result<(), Error> {
    let is_short = |room: Statvfs| room.blocks_available().saturating_mul(room.fragment_size()) < SWITCH;
    let directory = Path::new(layout::RUN);
    if !path.starts_with(directory) || !statvfs(directory).is_ok_and(is_short) {
        return Ok(());
    }
    let cause = std::io::Error::from_raw_os_error(nix::libc::ENOSPC).to_string();
    Err(Error::of_the_disk(format!("writing {}", path.display()), cause))
}

/// The file systems of these directories, each once: with the first directory that is on it.
pub fn file_systems(directories: &[PathBuf]) -> Vec<FileSystem> {
    let mut seen = BTreeSet::new();
    let new = directories.iter().filter_map(|path| Some((path, statvfs(path).ok()?)));
    let new = new.filter(|(path, _)| std::fs::metadata(path).is_ok_and(|found| seen.insert(found.dev())));
    new.map(|(path, room)| FileSystem {
        path: path.clone(),
        size: room.blocks().saturating_mul(room.fragment_size()),
        free: room.blocks_available().saturating_mul(room.fragment_size()),
        inodes: room.files(),
        free_inodes: room.files_available(),
    })
    .collect()
}

/// Adds to a disk-full error which file system is full, of those of the `paths` that were written to.
pub fn located(error: Error, paths: &[PathBuf]) -> Error {
    match error.code() == Code::DiskFull && error.fault().is_none() {
        true => Fault::DiskFull.is_behind(error.because(fullest(paths))),
        false => error,
    }
}

/// A path that does not exist yet is on the file system of its nearest parent.
fn statistics(path: &Path) -> Option<Statvfs> {
    path.ancestors().find_map(|path| statvfs(path).ok())
}

/// Sorts file systems with hardly any inodes first, then by free bytes. Not only full ones count: the failed command
/// may have removed its files since. `files() == 0`: the file system does not count inodes.
fn least_first(room: &Statvfs) -> (bool, u64) {
    const FEW: u64 = 16;
    let inodes_are_left = room.files() == 0 || room.files_available() >= FEW;
    (inodes_are_left, room.blocks_available().saturating_mul(room.fragment_size()))
}

fn described(path: &Path, room: &Statvfs) -> String {
    let mib = |blocks: u64| blocks.saturating_mul(room.fragment_size()) >> 20;
    let inodes = match room.files() {
        0 => String::new(),
        all => format!(", {} of {all} inodes", room.files_available()),
    };
    format!(
        "{} ({}) has {} of {} MiB free{inodes}",
        path.display(),
        file_system(path).unwrap_or_else(|| "its file system".to_owned()),
        mib(room.blocks_available()),
        mib(room.blocks()),
    )
}

/// `ext4 at /`, from the kernel's list of mounts: the longest mount point that the path lies below.
fn file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let around = fields.filter(|(point, _)| path.starts_with(point));
    // Of two mounts on one point the later one is seen.
    let (point, kind) = around.max_by_key(|(point, _)| point.len())?;
    Some(format!("{kind} at {point}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_given_with_the_file_system_even_of_an_absent_path() {
        let text = fullest(&["/proc/no/such/file".into()]);
        assert!(text.starts_with("/proc/no/such/file (proc at /proc) has 0 of 0 MiB free"), "{text}");
        assert!(fullest(&["/".into()]).contains(" inodes") || fullest(&["/".into()]).contains("MiB free"));
        assert!(fullest(&[]).contains("unknown"));
    }

    #[test]
    fn a_disk_full_error_names_the_file_system_once() {
        let full = || Error::of_the_disk("writing /x", "No space left on device (os error 28)");
        let located = super::located(super::located(full(), &["/proc".into()]), &["/".into()]);
        assert_eq!(Fault::of(&located), Some(Fault::DiskFull));
        assert_eq!(located.report().causes.len(), 2, "{located}");
        let other = super::located(Error::of_the_disk("writing /x", "Permission denied"), &["/".into()]);
        assert_eq!((other.code(), other.report().causes.len()), (Code::Io, 1));
    }
}
