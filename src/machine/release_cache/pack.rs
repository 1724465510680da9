//! Packs a release into an archive. Runs in a child process, as the build user: what it cannot read is not packed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
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
    /// Paths in the release.
    pub leave_out: Vec<PathBuf>,
}

pub fn pack(request: &PackRequest) -> Result<()> {
    (|| {
        let file = File::options().write(true).create_new(true).open(&request.archive)?;
        let mut packing = Packing {
            request,
            archive: tar::Builder::new(GzEncoder::new(file, Compression::fast())),
            entries: 0,
            bytes: 0,
        };
        packing.directory(Path::new(""))?;
        packing.archive.into_inner()?.finish()?;
        anyhow::Ok(())
    })()
    .map_err(|error| {
        let doing = format!("packing {}", request.release.display());
        Error::of_the_disk(doing, format!("{error:#}"))
    })
}

struct Packing<'a> {
    request: &'a PackRequest,
    archive: tar::Builder<GzEncoder<File>>,
    entries: usize,
    bytes: u64,
}

impl Packing<'_> {
    fn directory(&mut self, inside: &Path) -> anyhow::Result<()> {
        let mut names: Vec<_> =
            fs::read_dir(self.request.release.join(inside))?.collect::<Result<_, std::io::Error>>()?;
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
        let mut header = Header::new_gnu();
        header.set_mode(if data.mode() & 0o111 == 0 { 0o644 } else { 0o755 });
        header.set_mtime(0);
        if data.is_symlink() {
            let target = fs::read_link(&path)?;
            anyhow::ensure!(
                is_allowed_link(inside, &target, &self.request.release),
                "it leads out of the release"
            );
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            return Ok(self.archive.append_link(&mut header, inside, target)?);
        }
        if data.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            self.archive.append_data(&mut header, inside, std::io::empty())?;
            return self.directory(inside);
        }
        anyhow::ensure!(data.is_file(), "it is not a file, a directory or a symbolic link");
        self.bytes = self.bytes.saturating_add(data.len());
        anyhow::ensure!(self.bytes <= UNPACKED_BYTES, "its files have over {} MiB", UNPACKED_BYTES >> 20);
        header.set_entry_type(EntryType::Regular);
        header.set_size(data.len());
        Ok(self.archive.append_data(&mut header, inside, File::open(&path)?)?)
    }
}
