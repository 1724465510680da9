//! The archives of one lockfile's packages in one file, for other instances. Child processes pack and unpack it, as the build user
//! and without network. Nothing here is trusted: an installation verifies each archive by its hash in the lockfile.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

use super::cache::{self, Cache};
use super::files;
use crate::error::{Code, Error, Result};
use crate::npm::{self, Obstacle};
use crate::secret::{ForeignText, Message};

/// Files of one packed lockfile.
const MOST: usize = 50_000;

/// Pack the archives that a lockfile names.
#[derive(Debug, Serialize, Deserialize)]
pub struct PackRequest {
    pub lockfile: PathBuf,
    /// Whether the installation has no packages for development.
    pub omits_development: bool,
    /// npm's own cache.
    pub cache: PathBuf,
    /// The new file.
    pub archive: PathBuf,
    /// Bytes that it may have.
    pub most: u64,
}

/// Unpack them into the cache.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnpackRequest {
    pub archive: PathBuf,
    /// Where the packed archives begin in the file.
    pub start: u64,
    pub cache: PathBuf,
}

/// The names of the archives in the cache, and whether the installation needs it; or why the lockfile cannot say so. Without
/// those that have no strong hash: the registry is asked for them.
pub fn named(lockfile: &str, omits_development: bool) -> std::result::Result<Vec<(String, bool)>, String> {
    let archives = npm::archives(lockfile, omits_development).map_err(|obstacle| match obstacle {
        Obstacle::ForNpm(why) | Obstacle::Refused(why) => why,
    })?;
    Ok(archives
        .into_iter()
        .filter_map(|named| Some((cache::name(&named.integrity)?, named.is_needed)))
        .collect())
}

pub fn pack(request: &PackRequest) -> Result<()> {
    let doing = || format!("packing the packages of {}", request.lockfile.display());
    let lockfile = files::read(&request.lockfile).unwrap_or_default();
    let named = named(&lockfile, request.omits_development)
        .map_err(|why| refused(doing(), ForeignText::message(&why)))?;
    let cache = Cache::below(Some(&request.cache));
    match write(request, &cache, named) {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(refused(doing(), why)),
        Err(error) => Err(Error::of_the_disk(doing(), error)),
    }
}

fn refused(doing: String, why: impl Into<Message>) -> Error {
    Error::new(Code::CacheRefused, doing, why)
        .remedy("nothing needs to be done: each instance asks the package registry")
}

/// Without compression: the archives have theirs. Returns why they cannot be an entry.
fn write(
    request: &PackRequest,
    cache: &Cache,
    mut named: Vec<(String, bool)>,
) -> io::Result<Option<&'static str>> {
    let file = File::options().write(true).create_new(true).open(&request.archive)?;
    let mut packed = tar::Builder::new(io::BufWriter::with_capacity(256 << 10, file));
    // One archive may be at several places of the tree; the needed one counts.
    named.sort_by(|(a, a_needed), (b, b_needed)| a.cmp(b).then(b_needed.cmp(a_needed)));
    named.dedup_by(|(a, _), (b, _)| a == b);
    let mut left = request.most;
    for (name, is_needed) in named.into_iter().take(MOST) {
        let Some(archive) = cache.open(&name) else {
            // npm has installed it, or the disk has no room for a cache.
            if is_needed {
                return Ok(Some("not all of them are in the cache of bootagent's own installer"));
            }
            continue;
        };
        let length = archive.metadata()?.len();
        match left.checked_sub(length + 2048) {
            Some(rest) => left = rest,
            None => {
                return Ok(Some("they are too large for the release cache or the free space of the disk"));
            }
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(length);
        // Exactly as many bytes as the header says: an install script of another release may still write there.
        let mut exact = archive.take(length).chain(io::repeat(0)).take(length);
        packed.append_data(&mut header, &name, &mut exact)?;
    }
    packed.into_inner()?.flush()?;
    Ok(None)
}

pub fn unpack(request: &UnpackRequest) -> Result<()> {
    let doing = || format!("unpacking packages into {}", request.cache.display());
    entries(request).map_err(|error| match crate::error::is_disk_full(&error.to_string()) {
        true => Error::of_the_disk(doing(), error),
        false => Error::new(Code::CacheRefused, doing(), ForeignText::message(&error.to_string())),
    })
}

fn entries(request: &UnpackRequest) -> io::Result<()> {
    let cache = Cache::below(Some(&request.cache));
    let mut from = File::options().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(&request.archive)?;
    io::Seek::seek(&mut from, io::SeekFrom::Start(request.start))?;
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(256 << 10, from));
    for (count, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.to_str().filter(|name| is_name(name)).map(str::to_owned);
        let is_file = entry.header().entry_type() == EntryType::Regular;
        let (Some(name), true, true) = (name, is_file, count < MOST) else {
            return Err(io::Error::other("it has something else than archives of packages"));
        };
        let size = entry.size();
        cache.add(&name, size, &mut entry)?;
    }
    Ok(())
}

/// A hash as the cache names its files.
fn is_name(name: &str) -> bool {
    let hex = |digits: &str, length| {
        digits.len() == length
            && digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    };
    match name.split_once('-') {
        Some(("sha512", digits)) => hex(digits, 128),
        Some(("sha384", digits)) => hex(digits, 96),
        Some(("sha256", digits)) => hex(digits, 64),
        _ => false,
    }
}

/// Whether the cache has all archives that the installation needs. Not verified: then the registry is asked.
pub fn has_all(lockfile: &str, omits_development: bool, npm_cache: &Path) -> bool {
    let directory = Cache::directory_of(npm_cache);
    let is_there =
        |name: &str| std::fs::symlink_metadata(directory.join(name)).is_ok_and(|found| found.is_file());
    named(lockfile, omits_development)
        .is_ok_and(|named| named.iter().all(|(name, is_needed)| !is_needed || is_there(name)))
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
