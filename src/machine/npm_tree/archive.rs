//! A downloaded archive: in memory, or in a file without a name if it is large. Its hash is compared with the lockfile's
//! before anything reads it.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};

use super::failure::{Failure, Result};
use crate::fault::Fault;
use crate::npm::{Algorithm, Integrity, Package};

/// In bytes: what one archive may hold of the memory.
const IN_MEMORY: usize = 1 << 20;
/// In bytes. The largest packages of the registry have a tenth.
pub const LARGEST: u64 = 1 << 30;

pub struct Archive {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl Archive {
    pub fn new() -> Archive {
        Archive { memory: Vec::new(), file: None, length: 0 }
    }

    /// Of a file that has one already; a small one is read into memory. An error unless it is a regular file.
    pub fn of_file(file: File) -> io::Result<Archive> {
        let found = file.metadata()?;
        if !found.is_file() || found.len() > LARGEST {
            return Err(io::Error::other("not a regular file"));
        }
        let mut archive = Archive { memory: Vec::new(), file: None, length: found.len() };
        if found.len() <= IN_MEMORY as u64 {
            (&file).take(IN_MEMORY as u64).read_to_end(&mut archive.memory)?;
        } else {
            archive.file = Some(file);
        }
        Ok(archive)
    }

    /// Appends bytes. `directory` is where a large archive's file is made.
    pub fn append(&mut self, bytes: &[u8], directory: &Path) -> Result<()> {
        self.length += bytes.len() as u64;
        if self.length > LARGEST {
            return Err(Failure::refused(format!("it has more than {} MiB", LARGEST >> 20)));
        }
        let failed = |error: io::Error| Failure::of_the_disk("a downloaded archive", &error);
        if self.file.is_none() && self.memory.len() + bytes.len() > IN_MEMORY {
            let mut file = tempfile::tempfile_in(directory).map_err(failed)?;
            file.write_all(&self.memory).map_err(failed)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(failed),
            None => {
                self.memory.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// The content, from its beginning.
    pub fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &mut self.file {
            Some(file) => {
                file.seek(SeekFrom::Start(0))?;
                Box::new(io::BufReader::with_capacity(64 << 10, file))
            }
            None => Box::new(Cursor::new(&self.memory)),
        })
    }

    /// `Fault::PackageAltered` unless it has one of the lockfile's hashes.
    pub fn verify(&mut self, package: &Package) -> Result<()> {
        let failed = |error: io::Error| Failure::of_the_disk("a downloaded archive", &error);
        let mut context = Context::new(match package.integrity.algorithm {
            Algorithm::Sha512 => &SHA512,
            Algorithm::Sha384 => &SHA384,
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        });
        let length = self.length;
        let mut reader = self.reader().map_err(failed)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer).map_err(failed)? {
                0 => break,
                read => context.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        let hash = context.finish();
        let Integrity { algorithm, hashes } = &package.integrity;
        if hashes.iter().any(|expected| expected == hash.as_ref()) {
            return Ok(());
        }
        let cause = format!(
            "{}: its {algorithm:?} is not the one in the lockfile ({} bytes were sent)",
            package.id, length
        );
        Err(Failure::new(Fault::PackageAltered, cause))
    }
}
