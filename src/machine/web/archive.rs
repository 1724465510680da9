//! Downloads, unpacks and hashes a runtime's archive in one pass, in a child process. Until the checksum is verified
//! the archive is untrusted: it must not write outside its directory, nor exhaust memory or disk.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::get::{ResponseBody, Web};
use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::machine::disk::inside::{is_below, leads_below};
use crate::machine::jail::request::ArchiveRequest;
use crate::plan::Checksum;
use crate::secret::ForeignText;

/// Limits, in bytes except for `ENTRIES`: each is several times what Node's archive has.
const ARCHIVE_BYTES: u64 = 256 << 20;
const UNPACKED_BYTES: u64 = 1 << 30;
const ENTRIES: usize = 50_000;
const LIST_BYTES: u64 = 1 << 20;
/// The headers of one entry, with long names, which the `tar` crate reads into memory.
const HEADER_BYTES: u64 = 64 << 10;

/// Fills the empty directory `request.directory` with the content of the archive's one top directory.
pub fn archive(request: &ArchiveRequest) -> Result<()> {
    let web = Web::new(&request.network, &request.timeouts)?;
    let expected = expected_sum(&web, request)?;
    let mut answer = Hashed { inner: web.get(&request.address, ARCHIVE_BYTES)?, hash: Sha256::new() };
    let unpacked = unpack(&mut answer, request);
    let drained = io::copy(&mut answer, &mut io::sink());
    if let Some(failure) = answer.inner.failure.take() {
        return Err(failure);
    }
    drained.map_err(|error| Error::new(Code::Bug, doing(request), error))?;
    let sum: String = answer.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if sum != expected {
        let cause = format!("its SHA-256 is {sum}, expected is {expected}");
        return Err(Fault::RuntimeAltered.error(doing(request), cause));
    }
    unpacked.map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) if is_of_the_disk(&error) => Error::new(Code::Io, doing(request), error),
        Ok(error) => Fault::RuntimeUnusable.error(doing(request), ForeignText::message(&error.to_string())),
        Err(error) => Fault::RuntimeUnusable.error(doing(request), ForeignText::message(&error.to_string())),
    })
}

/// Whether the disk is the cause, and not the archive, two of whose entries may have one name.
fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory};
    let of_an_entry = matches!(error.kind(), AlreadyExists | InvalidFilename | IsADirectory | NotADirectory);
    error.raw_os_error().is_some() && !of_an_entry
}

fn doing(request: &ArchiveRequest) -> String {
    format!("unpacking {}", request.address)
}

/// The SHA-256 in hexadecimal: pinned, or from the list that the server has beside the archive.
fn expected_sum(web: &Web, request: &ArchiveRequest) -> Result<String> {
    let list = match &request.checksum {
        Checksum::Pinned(sha256) => return Ok(sha256.clone()),
        Checksum::Listed(list) => list,
    };
    let bytes = web.bytes(list, LIST_BYTES)?;
    let file = request.address.rsplit('/').next().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let listed = text.lines().find_map(|line| {
        let (sum, name) = line.split_once(char::is_whitespace)?;
        (name.trim_start().trim_start_matches('*') == file).then(|| sum.to_lowercase())
    });
    listed.ok_or_else(|| {
        Fault::RuntimeAltered.error(format!("reading {list}"), format!("it has no checksum for {file}"))
    })
}

/// Hashes every byte that is read through it.
struct Hashed<'a> {
    inner: ResponseBody<'a>,
    hash: Sha256,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Fails after `left` bytes: headers without an end must not exhaust the memory.
struct Bounded<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.ok_or_else(|| {
            io::Error::other(format!("the headers of an entry are over {} KiB", HEADER_BYTES >> 10))
        })?);
        Ok(read)
    }
}

fn unpack(from: impl Read, request: &ArchiveRequest) -> anyhow::Result<()> {
    let left = Cell::new(HEADER_BYTES);
    let inner = GzDecoder::new(from).take(UNPACKED_BYTES);
    let mut archive = tar::Archive::new(Bounded { inner, left: &left });
    let mut tree = Tree { request, made: HashSet::new(), links: Vec::new() };
    for (count, entry) in archive.entries()?.enumerate() {
        anyhow::ensure!(count < ENTRIES, "it has more than {ENTRIES} entries");
        let mut entry = entry?;
        left.set(u64::MAX);
        tree.put(&mut entry)?;
        // Skips left-out content, so that the next bytes are headers.
        io::copy(&mut entry, &mut io::sink())?;
        left.set(HEADER_BYTES);
    }
    tree.finish()
}

/// Writes the entries. Makes symbolic links last, so that no entry is written through one (link attack).
struct Tree<'a> {
    request: &'a ArchiveRequest,
    /// Directories that exist already.
    made: HashSet<PathBuf>,
    /// Paths and targets.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Tree<'_> {
    fn put(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let Some(inside) = below_top(&entry.path()?)? else { return check_type(kind, Path::new("its top")) };
        check_type(kind, &inside)?;
        if self.request.leave_out.iter().any(|left| inside.starts_with(left)) {
            return Ok(());
        }
        if kind == EntryType::Directory {
            return Ok(self.directory(&inside)?);
        }
        self.directory(inside.parent().unwrap_or(Path::new("")))?;
        let path = self.request.directory.join(&inside);
        if kind != EntryType::Symlink {
            return file(&path, entry);
        }
        let target = entry.link_name()?.unwrap_or_default().into_owned();
        let stays = leads_below(inside.components().count() - 1, &target);
        anyhow::ensure!(stays, "{} leads out of the archive", inside.display());
        self.links.push((path, target));
        Ok(())
    }

    fn directory(&mut self, inside: &Path) -> io::Result<()> {
        let mut path = PathBuf::new();
        for part in inside.components() {
            path.push(part);
            if self.made.insert(path.clone()) {
                fs::create_dir(self.request.directory.join(&path))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        for (path, target) in self.links {
            symlink(target, path)?;
        }
        let program = self.request.directory.join(&self.request.program);
        anyhow::ensure!(program.is_file(), "it has no {}", self.request.program.display());
        Ok(())
    }
}

/// Also for left-out entries: a sparse file, for one, unpacks to any length that it claims.
fn check_type(kind: EntryType, inside: &Path) -> anyhow::Result<()> {
    use EntryType::{Continuous, Directory, Regular, Symlink};
    anyhow::ensure!(
        matches!(kind, Directory | Regular | Continuous | Symlink),
        "{} is not a file, a directory or a symbolic link ({kind:?})",
        inside.display()
    );
    Ok(())
}

/// The entry's path below the archive's one top directory; `None` for the top directory itself.
fn below_top(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let short =
        path.as_os_str().len() < 1000 && path.to_str().is_some_and(|path| !path.contains(char::is_control));
    anyhow::ensure!(
        is_below(path) && short,
        "the name of an entry leads out of it, is too long or has control characters"
    );
    let inside: PathBuf = path.components().skip(1).collect();
    Ok((!inside.as_os_str().is_empty()).then_some(inside))
}

fn file(path: &Path, entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<()> {
    let mode = if entry.header().mode()? & 0o111 == 0 { 0o644 } else { 0o755 };
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    let size = entry.size();
    let written = io::copy(entry, &mut file)?;
    anyhow::ensure!(written == size, "it ends in the middle of a file");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_plain_names_below_one_top() {
        let name = |path: &str| below_top(Path::new(path)).ok().flatten();
        assert_eq!(name("node-v1/bin/node"), Some("bin/node".into()));
        assert_eq!(below_top(Path::new("node-v1/")).unwrap(), None);
        for path in ["/bin/node", "node/../../x", "../x", "node/a\nb", &format!("node/{}", "x".repeat(1000))]
        {
            assert!(below_top(Path::new(path)).is_err(), "{path} was let through");
        }
    }
}
