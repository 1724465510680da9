//! How much room there is, for an error about want of it.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::{Statvfs, statvfs};

use crate::error::{Code, Error};
use crate::fault::Fault;

/// Of the file systems of these paths the one with the least room, in words.
pub fn fullest(paths: &[PathBuf]) -> String {
    let known = paths.iter().filter_map(|path| Some((path, room(path)?)));
    match known.min_by_key(|(_, room)| left(room)) {
        Some((path, room)) => said(path, &room),
        None => "nobody knows how much room there is".to_owned(),
    }
}

/// Says of an error about want of room where that is, if `paths` are what was written to.
pub fn located(error: Error, paths: &[PathBuf]) -> Error {
    match error.code() == Code::DiskFull && error.fault().is_none() {
        true => Fault::DiskFull.is_behind(error.because(fullest(paths))),
        false => error,
    }
}

/// What is not there yet would stand where its nearest parent does.
fn room(path: &Path) -> Option<Statvfs> {
    path.ancestors().find_map(|path| statvfs(path).ok())
}

/// First where hardly an inode is left, then by bytes. Whoever failed may have cleaned up since, so that
/// the small one counts and not the one that is full now. Some file systems don't count inodes.
fn left(room: &Statvfs) -> (bool, u64) {
    const FEW: u64 = 16;
    let inodes_are_left = room.files() == 0 || room.files_available() >= FEW;
    (inodes_are_left, room.blocks_available().saturating_mul(room.fragment_size()))
}

fn said(path: &Path, room: &Statvfs) -> String {
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
    fn room_is_told_with_the_file_system_also_of_what_is_not_there() {
        let text = fullest(&["/proc/no/such/file".into()]);
        assert!(text.starts_with("/proc/no/such/file (proc at /proc) has 0 of 0 MiB free"), "{text}");
        assert!(fullest(&["/".into()]).contains(" inodes") || fullest(&["/".into()]).contains("MiB free"));
        assert!(fullest(&[]).contains("nobody knows"));
    }

    #[test]
    fn an_error_about_room_is_told_once_where_that_is() {
        let full = || Error::of_the_disk("writing /x", "No space left on device (os error 28)");
        let located = super::located(super::located(full(), &["/proc".into()]), &["/".into()]);
        assert_eq!(Fault::of(&located), Some(Fault::DiskFull));
        assert_eq!(located.report().causes.len(), 2, "{located}");
        let other = super::located(Error::of_the_disk("writing /x", "Permission denied"), &["/".into()]);
        assert_eq!((other.code(), other.report().causes.len()), (Code::Io, 1));
    }
}
