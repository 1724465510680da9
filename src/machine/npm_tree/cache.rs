//! Archives of earlier installations, in files named by their hash, so that an update fetches only what changed. Install
//! scripts can write there as well: what is taken is verified like a download, and what is not as expected counts as absent.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use super::archive::Archive;
use crate::npm::Integrity;

/// In bytes: what one installation adds at most, and what stays when it ends. The archives of 2,000 packages have about
/// 200 MiB.
const LARGEST: u64 = 512 << 20;
/// Files that are looked at: more are not of this cache's making.
const MOST: usize = 100_000;
/// A name that an archive has until it is whole.
const UNFINISHED: &str = ".unfinished-";

/// In bytes: with less room on the disk, nothing new is kept.
const ROOM: u64 = 2 << 30;

/// A directory, or none if the environment names none. No error of it counts: the package is downloaded.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: Option<PathBuf>,
    has_room: bool,
    /// In bytes: what this installation may still add.
    rest: Arc<AtomicU64>,
}

impl Cache {
    /// Below npm's own cache, with which it is emptied when the disk has no room.
    pub fn below(npm_cache: Option<&Path>) -> Cache {
        let directory = npm_cache.filter(|path| path.is_absolute()).map(Cache::directory_of);
        let directory = directory.filter(|path| fs::create_dir_all(path).is_ok() && is_plain_directory(path));
        let has_room = directory.as_deref().is_some_and(|path| {
            nix::sys::statvfs::statvfs(path)
                .is_ok_and(|found| found.blocks_available().saturating_mul(found.fragment_size()) > ROOM)
        });
        Cache { directory, has_room, rest: Arc::new(AtomicU64::new(LARGEST)) }
    }

    /// Where the archives are below npm's own cache.
    pub fn directory_of(npm_cache: &Path) -> PathBuf {
        npm_cache.join("archives")
    }

    /// The archive with one of the hashes; not verified yet.
    pub fn find(&self, integrity: &Integrity) -> Option<Archive> {
        let file = self.open(&name(integrity)?)?;
        // For `bound`, which removes what was not used for the longest time.
        let _ = file.set_modified(SystemTime::now());
        Archive::of_file(file).ok()
    }

    /// The file of this name, if it is a regular one.
    pub fn open(&self, name: &str) -> Option<File> {
        // A pipe must not block, and a link leads elsewhere.
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let file =
            File::options().read(true).custom_flags(flags).open(self.directory.as_ref()?.join(name)).ok()?;
        file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
    }

    /// Keeps an archive that is not verified yet, unless one of this name is there.
    pub fn add(&self, name: &str, length: u64, archive: &mut impl Read) -> io::Result<()> {
        let Some(directory) = self.directory.as_ref().filter(|_| self.has_room) else {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
        };
        if self.open(name).is_some() {
            return Ok(());
        }
        let taken = self.rest.fetch_update(Relaxed, Relaxed, |rest| rest.checked_sub(length));
        taken.map_err(|_| io::Error::other("it is larger than the package cache"))?;
        let new = directory.join(format!("{UNFINISHED}{name}"));
        let written = copy(archive, &new).and_then(|written| match written == length {
            true => fs::rename(&new, directory.join(name)),
            false => Err(io::Error::other("it ends in the middle of a file")),
        });
        written.inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// Keeps a verified archive.
    pub fn keep(&self, integrity: &Integrity, archive: &mut Archive) {
        let directory = self.directory.as_ref().filter(|_| self.has_room);
        let (Some(directory), Some(name)) = (directory, name(integrity)) else { return };
        let length = archive.length();
        let taken = self.rest.fetch_update(Relaxed, Relaxed, |rest| rest.checked_sub(length));
        if taken.is_err() {
            return;
        }
        let new = directory.join(format!("{UNFINISHED}{name}"));
        let kept = archive.reader().and_then(|mut reader| copy(&mut reader, &new));
        let kept = kept.and_then(|_| fs::rename(&new, directory.join(&name)));
        if kept.is_err() {
            let _ = fs::remove_file(&new);
        }
    }

    /// Removes an archive that is not what its name says.
    pub fn forget(&self, integrity: &Integrity) {
        if let (Some(directory), Some(name)) = (&self.directory, name(integrity)) {
            let _ = fs::remove_file(directory.join(name));
        }
    }

    /// Removes what a killed installation left, and what was not used for the longest time, until the rest has at most
    /// `LARGEST` bytes.
    pub fn bound(&self) {
        self.bound_to(LARGEST);
    }

    fn bound_to(&self, largest: u64) {
        let Some(directory) = &self.directory else { return };
        let mut kept = Vec::new();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten().take(MOST) {
            let is_unfinished = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
            match entry.metadata() {
                Ok(found) if found.is_file() && !is_unfinished => {
                    kept.push((
                        found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                        found.len(),
                        entry.path(),
                    ));
                }
                _ => drop(fs::remove_file(entry.path())),
            }
        }
        kept.sort_by(|(a, ..), (b, ..)| b.cmp(a));
        let mut all = 0u64;
        for (_, length, path) in kept {
            all = all.saturating_add(length);
            if all > largest {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn is_plain_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// `None` if two archives can have that hash, or if the lockfile has a choice of hashes.
pub fn name(integrity: &Integrity) -> Option<String> {
    let [hash] = integrity.hashes.as_slice() else { return None };
    let hex = data_encoding::HEXLOWER.encode(hash);
    integrity.algorithm.is_strong().then(|| format!("{:?}-{hex}", integrity.algorithm).to_lowercase())
}

/// Returns the number of bytes.
fn copy(from: &mut impl Read, path: &Path) -> io::Result<u64> {
    // What a killed installation left may be a link.
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(from, &mut file)
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
