//! A runtime's archive: downloaded, unpacked and hashed in one pass. What came counts for nothing until
//! its checksum is right.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::get::{Answer, Web};
use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::machine::jail::request::ArchiveRequest;
use crate::plan::Checksum;
use crate::secret::ForeignText;

/// Several times what Node's archive has.
const ARCHIVE_BYTES: u64 = 256 << 20;
const UNPACKED_BYTES: u64 = 1 << 30;
const ENTRIES: usize = 50_000;
const LIST_BYTES: u64 = 1 << 20;
/// What stands before the content of one entry: its header, and long names of their own. `tar` reads them whole.
const HEADER_BYTES: u64 = 64 << 10;

/// Fills the empty directory with the archive's content, without the one directory that holds it all.
pub fn archive(request: &ArchiveRequest) -> Result<()> {
    let web = Web::new(&request.network, &request.timeouts)?;
    let wanted = wanted(&web, request)?;
    let mut answer = Hashed { inner: web.get(&request.address, ARCHIVE_BYTES)?, hash: Sha256::new() };
    let unpacked = unpack(&mut answer, request);
    let drained = io::copy(&mut answer, &mut io::sink());
    if let Some(failure) = answer.inner.failure.take() {
        return Err(failure);
    }
    drained.map_err(|error| Error::new(Code::Bug, doing(request), error))?;
    let sum: String = answer.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if sum != wanted {
        let cause = format!("its SHA-256 is {sum}, and should be {wanted}");
        return Err(Fault::RuntimeAltered.error(doing(request), cause));
    }
    unpacked.map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) if is_of_the_disk(&error) => Error::new(Code::Io, doing(request), error),
        Ok(error) => Fault::RuntimeUnusable.error(doing(request), ForeignText::message(&error.to_string())),
        Err(error) => Fault::RuntimeUnusable.error(doing(request), ForeignText::message(&error.to_string())),
    })
}

/// Not of the archive, whose entries may be in each other's way.
fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory};
    let of_an_entry = matches!(error.kind(), AlreadyExists | InvalidFilename | IsADirectory | NotADirectory);
    error.raw_os_error().is_some() && !of_an_entry
}

fn doing(request: &ArchiveRequest) -> String {
    format!("unpacking {}", request.address)
}

fn wanted(web: &Web, request: &ArchiveRequest) -> Result<String> {
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

/// Everything that passes is in the sum.
struct Hashed<'a> {
    inner: Answer<'a>,
    hash: Sha256,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Ends where an entry's headers do not.
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
        // What was left out, too: from here on only headers are read.
        io::copy(&mut entry, &mut io::sink())?;
        left.set(HEADER_BYTES);
    }
    tree.finish()
}

/// What becomes of an archive. Symbolic links come last: nothing is ever written through one.
struct Tree<'a> {
    request: &'a ArchiveRequest,
    made: HashSet<PathBuf>,
    links: Vec<(PathBuf, PathBuf)>,
}

impl Tree<'_> {
    fn put(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let Some(inside) = inside(&entry.path()?)? else { return plain(kind, Path::new("its top")) };
        plain(kind, &inside)?;
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
        let stays = stays_inside(inside.components().count() - 1, &target);
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

/// Also what is left out: a sparse file, say, is as long as it claims.
fn plain(kind: EntryType, inside: &Path) -> anyhow::Result<()> {
    use EntryType::{Continuous, Directory, Regular, Symlink};
    anyhow::ensure!(
        matches!(kind, Directory | Regular | Continuous | Symlink),
        "{} is neither file, directory nor symbolic link ({kind:?})",
        inside.display()
    );
    Ok(())
}

/// The entry's path below the archive's one top directory; `None` for that itself.
fn inside(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let short =
        path.as_os_str().len() < 1000 && path.to_str().is_some_and(|path| !path.contains(char::is_control));
    anyhow::ensure!(plain && short, "it has an entry whose name is no path inside of it");
    let inside: PathBuf = path.components().skip(1).collect();
    Ok((!inside.as_os_str().is_empty()).then_some(inside))
}

/// Whether a link with this target, that many directories below the top, stays inside. Leading `..` only:
/// behind anything else it could go back through another link.
pub fn stays_inside(depth: usize, target: &Path) -> bool {
    let up = target.components().take_while(|part| *part == Component::ParentDir).count();
    let rest = target.components().skip(up).all(|part| matches!(part, Component::Normal(_)));
    up <= depth && rest && target.components().count() > 0
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
    fn links_stay_inside() {
        for (depth, target) in [(1, "../lib/npm.js"), (0, "lib/npm.js"), (2, "../../x"), (3, "../y")] {
            assert!(stays_inside(depth, Path::new(target)), "{target} at {depth}");
        }
        let bad =
            [(0, "../x"), (1, "../../x"), (1, "/etc/passwd"), (2, "a/../../../x"), (2, "a/.."), (0, "")];
        for (depth, target) in bad {
            assert!(!stays_inside(depth, Path::new(target)), "{target} at {depth} was let through");
        }
    }

    #[test]
    fn entries_have_plain_names_below_one_top() {
        let name = |path: &str| inside(Path::new(path)).ok().flatten();
        assert_eq!(name("node-v1/bin/node"), Some("bin/node".into()));
        assert_eq!(inside(Path::new("node-v1/")).unwrap(), None);
        for path in ["/bin/node", "node/../../x", "../x", "node/a\nb", &format!("node/{}", "x".repeat(1000))]
        {
            assert!(inside(Path::new(path)).is_err(), "{path} was let through");
        }
    }
}
