//! Unpacks an archive to its place as npm does: below its first component, links and directories left out, with npm's
//! modes. What leads elsewhere or has no bound is refused.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Entry, EntryType};

use super::archive::Archive;
use super::bundle;
use super::failure::{Failure, Result};
use crate::npm::Package;

/// Of one archive.
const ENTRIES: usize = 100_000;
const UNPACKED: u64 = 2 << 30;
/// In bytes: the headers of one entry, with long names, which the `tar` crate reads into memory.
const HEADERS: u64 = 1 << 20;
const LONGEST: usize = 2000;
const LONGEST_NAME: usize = 255;

/// Fails after `left` bytes.
struct Bounded<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.get().checked_sub(read as u64) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other(Endless)),
        }
        Ok(read)
    }
}

#[derive(Debug)]
struct Endless;

impl std::fmt::Display for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an archive without an end")
    }
}

impl std::error::Error for Endless {}

/// Fills the package's empty directory. Returns how many bytes its files have.
pub fn unpack(archive: &mut Archive, package: &Package, project: &Path) -> Result<u64> {
    let reader = archive.reader().map_err(|error| Failure::of_the_disk("a downloaded archive", &error))?;
    let left = Cell::new(HEADERS);
    let inner = MultiGzDecoder::new(reader).take(UNPACKED);
    let mut tar = tar::Archive::new(Bounded { inner, left: &left });
    let mut tree = Tree {
        package,
        root: &project.join(&package.path),
        made: HashSet::new(),
        ignores: HashSet::new(),
        left: UNPACKED,
        has_addon: false,
    };
    let damaged = |error: io::Error| tree_error(package, &error);
    for (count, entry) in tar.entries().map_err(damaged)?.enumerate() {
        if count >= ENTRIES {
            return Err(Failure::refused(format!("{} has more than {ENTRIES} entries", package.id)));
        }
        let mut entry = entry.map_err(damaged)?;
        left.set(UNPACKED);
        tree.put(&mut entry)?;
        io::copy(&mut entry, &mut io::sink()).map_err(damaged)?;
        left.set(HEADERS);
    }
    if tree.has_addon && !package.has_scripts {
        return Err(Failure::ForNpm(format!(
            "{} has a native addon (binding.gyp) and no script",
            package.id
        )));
    }
    let unpacked = UNPACKED - tree.left;
    bundle::check(package, &project.join(&package.path))?;
    Ok(unpacked)
}

/// An archive that cannot be read: npm says why, unless it has no bound.
fn tree_error(package: &Package, error: &io::Error) -> Failure {
    match error.get_ref().is_some_and(|inner| inner.is::<Endless>()) {
        true => Failure::refused(format!("{} has an entry without an end", package.id)),
        false => Failure::ForNpm(format!("the archive of {} has an unusual form ({error})", package.id)),
    }
}

struct Tree<'a> {
    package: &'a Package,
    root: &'a Path,
    /// Directories below the root that were made.
    made: HashSet<String>,
    /// Directories with a `.npmignore`.
    ignores: HashSet<String>,
    left: u64,
    has_addon: bool,
}

impl Tree<'_> {
    fn put(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<()> {
        use EntryType::{Continuous, Directory, Link, Regular, Symlink, XGlobalHeader};
        let kind = entry.header().entry_type();
        if matches!(kind, XGlobalHeader) {
            return Ok(());
        }
        let bytes = entry.path_bytes().into_owned();
        let Ok(path) = std::str::from_utf8(&bytes) else { return self.unusual("a name that is not UTF-8") };
        let Some(inside) = self.inside(path)? else { return Ok(()) };
        match kind {
            Regular | Continuous if !inside.is_empty() => {}
            // npm leaves them out, too.
            Directory | Symlink | Link => return Ok(()),
            Regular | Continuous => return self.unusual("a file without a name"),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return self.refused(&inside, "is a device");
            }
            _ => return self.unusual("an entry of an unusual kind"),
        }
        let Some(inside) = self.renamed(inside) else { return Ok(()) };
        self.has_addon |= inside == "binding.gyp";
        if let Some((directory, _)) = inside.rsplit_once('/') {
            self.directory(directory)?;
        }
        self.file(&inside, entry)
    }

    /// The path below the first component; `None` for a directory.
    fn inside(&self, path: &str) -> Result<Option<String>> {
        let shown = crate::secret::excerpt(path);
        if path.starts_with('/') || path.split('/').any(|name| name == "..") {
            return self.refused(&shown, "leads elsewhere");
        }
        if path.len() > LONGEST || path.split('/').any(|name| name.len() > LONGEST_NAME) {
            return self.refused(&shown, "is too long");
        }
        if path.contains('\0') {
            return self.refused(&shown, "has a NUL");
        }
        if path.ends_with('/') {
            return Ok(None);
        }
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        // Some archives have `package/./dist`.
        let names: Vec<&str> = rest.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        let inside = names.join("/");
        let is_ignore_file = names.last().is_some_and(|name| name.ends_with("ignore")) && inside != rest;
        if path.chars().any(char::is_control) || first.is_empty() || first == "." || is_ignore_file {
            return self.unusual("a name of an unusual form");
        }
        if !inside.is_empty() && !self.package.bundle.has_place(&inside) {
            return self.unusual("packages in it that the lockfile does not name");
        }
        Ok(Some(inside))
    }

    /// npm makes a `.gitignore` a `.npmignore`, unless there is one already.
    fn renamed(&mut self, inside: String) -> Option<String> {
        let (directory, name) = inside.rsplit_once('/').unwrap_or(("", &inside));
        match name {
            ".npmignore" => {
                self.ignores.insert(directory.to_owned());
                Some(inside)
            }
            ".gitignore" if self.ignores.contains(directory) => None,
            ".gitignore" => Some(inside.trim_end_matches(".gitignore").to_owned() + ".npmignore"),
            _ => Some(inside),
        }
    }

    fn directory(&mut self, directory: &str) -> Result<()> {
        if self.made.contains(directory) {
            return Ok(());
        }
        if let Some((parent, _)) = directory.rsplit_once('/') {
            self.directory(parent)?;
        }
        match fs::create_dir(self.root.join(directory)) {
            Ok(()) => {
                self.made.insert(directory.to_owned());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.unusual("a file and a directory of one name")
            }
            Err(error) => Err(Failure::of_the_disk(directory, &error)),
        }
    }

    fn file(&mut self, inside: &str, entry: &mut Entry<'_, impl Read>) -> Result<()> {
        let Ok(mode) = entry.header().mode() else { return self.unusual("a file without a mode") };
        // Readable for all and writable for the owner, as npm makes it; nothing sets a user.
        let is_program = self.package.programs.iter().any(|program| program == inside);
        let mode = (mode | 0o666) & 0o755 | 0o600 | if is_program { 0o111 } else { 0 };
        let path = self.root.join(inside);
        let open = || File::options().write(true).create_new(true).mode(mode).open(&path);
        let opened = match open() {
            // Of two files with one name the later one counts.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match fs::remove_file(&path) {
                Ok(()) => open(),
                Err(_) => return self.unusual("a file and a directory of one name"),
            },
            other => other,
        };
        let size = entry.size();
        match self.left.checked_sub(size) {
            Some(left) => self.left = left,
            None => return self.refused(inside, "makes it larger than 2 GiB"),
        }
        let mut file = opened.map_err(|error| Failure::of_the_disk(inside, &error))?;
        let written = copy(entry, &mut file).map_err(|error| match error {
            CopyError::Read(error) => tree_error(self.package, &error),
            CopyError::Write(error) => Failure::of_the_disk(inside, &error),
        })?;
        match written == size {
            true => Ok(()),
            false => self.unusual("an end in the middle of a file"),
        }
    }

    fn unusual<T>(&self, what: &str) -> Result<T> {
        Err(Failure::ForNpm(format!("the archive of {} has {what}", self.package.id)))
    }

    fn refused<T>(&self, entry: &str, what: &str) -> Result<T> {
        Err(Failure::refused(format!("the archive of {} has {entry}, which {what}", self.package.id)))
    }
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Tells errors of the archive from those of the disk.
fn copy(from: &mut impl Read, to: &mut File) -> std::result::Result<u64, CopyError> {
    let mut buffer = [0; 32 << 10];
    let mut all = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(read) => read,
            Err(error) => return Err(CopyError::Read(error)),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        io::Write::write_all(to, bytes).map_err(CopyError::Write)?;
        all += read as u64;
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
