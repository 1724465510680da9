//! Packs a release into an archive. Runs in a child process, as the build user: what it cannot read is not packed. A file of
//! another user is refused, because root's hooks may have put a secret there.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

use super::unpack::{ENTRIES, UNPACKED_BYTES, is_allowed_link};
use crate::error::{Error, Result};

/// Pack a release.
#[derive(Debug, Serialize, Deserialize)]
pub struct PackRequest {
    pub release: PathBuf,
    /// The new file.
    pub archive: PathBuf,
    /// Bytes that it may have.
    pub most: u64,
    /// Paths in the release.
    pub leave_out: Vec<PathBuf>,
}

pub fn pack(request: &PackRequest) -> Result<()> {
    write(request).map_err(|error| {
        Error::of_the_disk(format!("packing {}", request.release.display()), format!("{error:#}"))
    })
}

fn write(request: &PackRequest) -> anyhow::Result<()> {
    let file = File::options().write(true).create_new(true).open(&request.archive)?;
    let file = Bounded { file, left: request.most, most: request.most };
    let archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    let mut packing = Packing { request, archive, entries: 0, bytes: 0 };
    packing.directory(Path::new(""))?;
    packing.archive.into_inner()?.finish()?;
    Ok(())
}

/// Fails after `left` bytes.
struct Bounded {
    file: File,
    left: u64,
    most: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let left = self.left.checked_sub(written as u64);
        self.left =
            left.ok_or_else(|| io::Error::other(format!("it would have over {} MiB", self.most >> 20)))?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Packing<'a> {
    request: &'a PackRequest,
    archive: tar::Builder<GzEncoder<Bounded>>,
    entries: usize,
    bytes: u64,
}

impl Packing<'_> {
    fn directory(&mut self, inside: &Path) -> anyhow::Result<()> {
        let mut names: Vec<_> =
            fs::read_dir(self.request.release.join(inside))?.collect::<Result<_, io::Error>>()?;
        names.sort_by_key(fs::DirEntry::file_name);
        for name in names {
            let inside = inside.join(name.file_name());
            if !self.request.leave_out.contains(&inside) {
                self.entry(&inside).map_err(|error| error.context(inside.display().to_string()))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, inside: &Path) -> anyhow::Result<()> {
        self.entries += 1;
        anyhow::ensure!(self.entries <= ENTRIES, "there are more than {ENTRIES} files");
        let path = self.request.release.join(inside);
        let data = path.symlink_metadata()?;
        if data.is_dir() {
            self.archive.append_data(&mut header(EntryType::Directory, &data, 0), inside, io::empty())?;
            return self.directory(inside);
        }
        anyhow::ensure!(data.uid() == geteuid().as_raw(), "it belongs to another user than the build user");
        if data.is_symlink() {
            let target = fs::read_link(&path)?;
            let allowed = is_allowed_link(inside, &target, &self.request.release);
            anyhow::ensure!(allowed, "it leads out of the release");
            let mut header = header(EntryType::Symlink, &data, 0);
            return Ok(self.archive.append_link(&mut header, inside, target)?);
        }
        anyhow::ensure!(data.is_file(), "it is not a file, a directory or a symbolic link");
        self.bytes = self.bytes.saturating_add(data.len());
        anyhow::ensure!(self.bytes <= UNPACKED_BYTES, "its files have over {} MiB", UNPACKED_BYTES >> 20);
        let mut header = header(EntryType::Regular, &data, data.len());
        Ok(self.archive.append_data(&mut header, inside, File::open(&path)?)?)
    }
}

/// Of owner and mode, only whether it is a program is kept. The time is: Python compares that of a source with its `.pyc`.
fn header(kind: EntryType, data: &Metadata, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if data.is_dir() || data.mode() & 0o111 != 0 { 0o755 } else { 0o644 });
    header.set_mtime(u64::try_from(data.mtime()).unwrap_or(0));
    header.set_size(size);
    header
}
