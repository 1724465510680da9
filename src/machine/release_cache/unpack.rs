//! Unpacks an archive into an empty release directory. Runs in a child process, as the build user. The entry is authenticated
//! already; even so, nothing is written outside of the release, and sizes are bounded.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use tar::EntryType;

use crate::error::{Code, Error, Result};
use crate::machine::disk::inside::{is_below, leads_below};
use crate::plan::layout;
use crate::secret::{ForeignText, Message};

/// Several times what a large `node_modules` has.
pub const ENTRIES: usize = 400_000;
pub const UNPACKED_BYTES: u64 = 4 << 30;
/// Bytes of a path.
const LONGEST: usize = 2000;

/// Unpack a release.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnpackRequest {
    pub archive: PathBuf,
    /// Where the archive begins in the file.
    pub start: u64,
    /// An existing empty directory.
    pub release: PathBuf,
}

pub fn unpack(request: &UnpackRequest) -> Result<()> {
    let doing = || format!("unpacking a release into {}", request.release.display());
    entries(request).map_err(|error| {
        let cause = format!("{error:#}");
        match error.downcast::<Refused>() {
            Ok(Refused(why, name)) => {
                let cause = Message::from("of its files, ").and(ForeignText::message(&name));
                Error::new(Code::CacheRefused, doing(), cause.and(format!(" {why}")))
            }
            Err(_) if crate::error::is_disk_full(&cause) => {
                Error::of_the_disk(doing(), ForeignText::message(&cause))
            }
            Err(_) => Error::new(Code::CacheRefused, doing(), ForeignText::message(&cause)),
        }
    })
}

/// Why an entry of the archive is refused, and its name there.
#[derive(Debug)]
struct Refused(&'static str, String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.1, self.0)
    }
}

impl std::error::Error for Refused {}

fn refuse<T>(why: &'static str, name: &Path) -> anyhow::Result<T> {
    Err(Refused(why, crate::secret::excerpt(&name.to_string_lossy()).to_string()).into())
}

/// Whether a link may be in a release: it leads to another path of it, or to a program that only root can change.
pub fn is_allowed_link(inside: &Path, target: &Path, release: &Path) -> bool {
    let depth = inside.components().count().saturating_sub(1);
    let roots = [release, Path::new("/usr"), Path::new(layout::RUNTIMES)];
    let absolute = || roots.iter().any(|root| target.strip_prefix(root).is_ok_and(is_below));
    if target.is_absolute() { absolute() } else { leads_below(depth, target) }
}

fn entries(request: &UnpackRequest) -> anyhow::Result<()> {
    let mut from = File::open(&request.archive)?;
    from.seek(SeekFrom::Start(request.start))?;
    // More than the files may have, so that a longer archive fails and is not cut.
    let plain = GzDecoder::new(BufReader::with_capacity(256 << 10, from)).take(UNPACKED_BYTES + (1 << 30));
    let mut archive = tar::Archive::new(plain);
    let mut tree = Tree { release: &request.release, made: HashSet::new(), links: Vec::new(), bytes: 0 };
    for (count, entry) in archive.entries()?.enumerate() {
        anyhow::ensure!(count < ENTRIES, "it has more than {ENTRIES} entries");
        tree.put(&mut entry?)?;
    }
    // Last, so that no file is written through one.
    for (path, target) in tree.links {
        symlink(target, path)?;
    }
    Ok(())
}

struct Tree<'a> {
    release: &'a Path,
    /// Directories below the release that were made.
    made: HashSet<PathBuf>,
    /// Paths and targets.
    links: Vec<(PathBuf, PathBuf)>,
    bytes: u64,
}

impl Tree<'_> {
    fn put(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<()> {
        let inside = entry.path()?.into_owned();
        let fits = inside.as_os_str().len() < LONGEST && inside.components().count() > 0;
        if !is_below(&inside) || !fits {
            return refuse("leads out of the release, or has too long a name", &inside);
        }
        match entry.header().entry_type() {
            EntryType::Directory => Ok(self.directory(&inside)?),
            EntryType::Regular => self.file(&inside, entry),
            EntryType::Symlink => {
                let target = entry.link_name()?.unwrap_or_default().into_owned();
                if !is_allowed_link(&inside, &target, self.release) {
                    return refuse("is a link that leads out of the release", &inside);
                }
                self.directory(inside.parent().unwrap_or(Path::new("")))?;
                self.links.push((self.release.join(inside), target));
                Ok(())
            }
            _ => refuse("is not a file, a directory or a symbolic link", &inside),
        }
    }

    fn file(&mut self, inside: &Path, entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<()> {
        self.bytes = self.bytes.saturating_add(entry.size());
        anyhow::ensure!(self.bytes <= UNPACKED_BYTES, "its files have over {} MiB", UNPACKED_BYTES >> 20);
        self.directory(inside.parent().unwrap_or(Path::new("")))?;
        let mode = if entry.header().mode()? & 0o111 == 0 { 0o644 } else { 0o755 };
        let path = self.release.join(inside);
        let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
        let (size, written) = (entry.size(), io::copy(entry, &mut file)?);
        anyhow::ensure!(written == size, "it ends in the middle of a file");
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(entry.header().mtime()?));
        file.set_modified(time.unwrap_or(UNIX_EPOCH))?;
        Ok(())
    }

    fn directory(&mut self, inside: &Path) -> io::Result<()> {
        let mut path = PathBuf::new();
        for part in inside.components() {
            path.push(part);
            if self.made.insert(path.clone()) {
                fs::create_dir(self.release.join(&path))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::Header;

    use super::super::pack::{PackRequest, pack};
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_packed_release_is_unpacked_as_it_was() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        for directory in ["a/node_modules/.bin", "a/node_modules/x", "a/empty", "b"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::write(at("a/node_modules/x/cli.js"), "text").unwrap();
        fs::set_permissions(at("a/node_modules/x/cli.js"), PermissionsExt::from_mode(0o700)).unwrap();
        symlink("../x/cli.js", at("a/node_modules/.bin/x")).unwrap();
        symlink("/run/bootagent/x/.env", at("a/.env")).unwrap();
        symlink("/usr/bin/python3", at("a/python")).unwrap();
        File::open(at("a/node_modules/x/cli.js")).unwrap().set_modified(UNIX_EPOCH + DAY).unwrap();
        let leave_out = vec![".env".into()];
        let request = PackRequest { release: at("a"), archive: at("archive"), most: 1 << 20, leave_out };
        pack(&request).unwrap();
        unpack(&UnpackRequest { archive: at("archive"), start: 0, release: at("b") }).unwrap();
        assert_eq!(fs::read_to_string(at("b/node_modules/.bin/x")).unwrap(), "text");
        let program = fs::metadata(at("b/node_modules/x/cli.js")).unwrap();
        assert_eq!((program.mode() & 0o7777, program.mtime()), (0o755, DAY.as_secs() as i64));
        assert!(at("b/empty").is_dir() && !at("b/.env").is_symlink() && at("b/python").is_symlink());
        // Without its place in the list, the link leads out.
        let again = PackRequest { leave_out: Vec::new(), archive: at("other"), ..request };
        assert!(pack(&again).unwrap_err().to_string().contains("leads out"));
        fs::remove_file(at("a/.env")).unwrap();
        fs::remove_file(at("other")).unwrap();
        let small = PackRequest { most: 10, ..again };
        assert!(pack(&small).unwrap_err().to_string().contains("it would have over 0 MiB"));
    }

    /// As an operator's hook may put it there, with a secret.
    #[test]
    fn what_another_user_put_into_the_release_is_not_packed() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let (release, archive) = (scratch.path().join("a"), scratch.path().join("archive"));
        fs::create_dir(&release).unwrap();
        fs::write(release.join("token"), "x").unwrap();
        std::os::unix::fs::chown(release.join("token"), Some(12345), None).unwrap();
        let request = PackRequest { release, archive, most: 1 << 20, leave_out: Vec::new() };
        assert!(pack(&request).unwrap_err().to_string().contains("token: it belongs to another user"));
    }

    /// An archive of one entry, and what unpacking it says.
    fn refused(kind: EntryType, name: &str, link: &str, cut: usize) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let mut header = Header::new_gnu();
        // The safe setters refuse such names.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        let content = if kind == EntryType::Regular { &[7_u8; 600][..] } else { &[] };
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut plain = Vec::new();
        plain.extend_from_slice(header.as_bytes());
        plain.extend_from_slice(content);
        plain.resize(plain.len().next_multiple_of(512) + 1024, 0);
        plain.truncate(plain.len() - cut);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&plain).unwrap();
        fs::write(scratch.path().join("archive"), gzip.finish().unwrap()).unwrap();
        fs::create_dir(scratch.path().join("release")).unwrap();
        let request = UnpackRequest {
            archive: scratch.path().join("archive"),
            start: 0,
            release: scratch.path().join("release"),
        };
        let error = unpack(&request).unwrap_err();
        assert_eq!(error.code(), Code::CacheRefused);
        assert!(!scratch.path().join("x").exists());
        error.in_public().to_string()
    }

    #[test]
    fn hostile_entries_are_refused() {
        for (kind, name, link, says) in [
            (EntryType::Regular, "../x", "", "leads out"),
            (EntryType::Regular, "/etc/x", "", "leads out"),
            (EntryType::Regular, "a/../../x", "", "leads out"),
            (EntryType::Symlink, "x", "/etc/shadow", "leads out"),
            (EntryType::Symlink, "x", "/usr/../etc/shadow", "leads out"),
            (EntryType::Symlink, "x", "../x", "leads out"),
            (EntryType::Link, "x", "y", "not a file"),
            (EntryType::Char, "x", "", "not a file"),
            (EntryType::Block, "x", "", "not a file"),
            (EntryType::Fifo, "x", "", "not a file"),
        ] {
            let said = refused(kind, name, link, 0);
            assert!(said.contains(says), "{kind:?} {name} {link}: {said}");
        }
        refused(EntryType::GNUSparse, "x", "", 0);
        refused(EntryType::Regular, "x", "", 1700);
    }

    #[test]
    fn no_file_is_written_through_a_link_and_none_has_special_bits() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("b")).unwrap();
        let mut archive =
            tar::Builder::new(GzEncoder::new(File::create(at("archive")).unwrap(), Compression::fast()));
        let header = |kind| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o6777);
            header.set_size(0);
            header
        };
        archive.append_data(&mut header(EntryType::Regular), "suid", io::empty()).unwrap();
        archive.append_link(&mut header(EntryType::Symlink), "there", "/usr/lib").unwrap();
        archive.append_data(&mut header(EntryType::Regular), "there/x", io::empty()).unwrap();
        archive.into_inner().unwrap().finish().unwrap();
        unpack(&UnpackRequest { archive: at("archive"), start: 0, release: at("b") }).unwrap_err();
        assert!(!Path::new("/usr/lib/x").exists() && at("b/there/x").is_file());
        assert_eq!(fs::metadata(at("b/suid")).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    fn a_bomb_is_bounded_by_the_sizes_that_its_entries_name() {
        let scratch = tempfile::tempdir().unwrap();
        let mut tree =
            Tree { release: scratch.path(), made: HashSet::new(), links: Vec::new(), bytes: UNPACKED_BYTES };
        let mut header = Header::new_gnu();
        header.set_path("x").unwrap();
        header.set_size(1);
        header.set_cksum();
        let mut plain = header.as_bytes().to_vec();
        plain.resize(512 + 512 + 1024, 0);
        let mut archive = tar::Archive::new(&plain[..]);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert!(tree.put(&mut entry).unwrap_err().to_string().contains("MiB"));
    }
}
