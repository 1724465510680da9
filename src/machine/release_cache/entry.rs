//! The file of an entry: one line, then the archive. The line is authenticated; the archive has its checksum there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

const MAGIC: &str = "bootagent-release-1";
/// Bytes of the first line: its four words have 215.
const LINE: u64 = 256;

/// Checks that the file is the wanted entry, and whole. `secret`: the key that must have authenticated it; `None` for a file that
/// only root could write. Returns where its archive begins.
pub fn verify(file: &Path, wanted: &str, secret: Option<&Secret>) -> Result<u64, String> {
    let mut archive = BufReader::new(File::open(file).map_err(|error| error.to_string())?);
    let mut line = Vec::new();
    (&mut archive).take(LINE).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    let start = line.len() as u64;
    let line = String::from_utf8(line).unwrap_or_default();
    let words: Vec<&str> = line.strip_suffix('\n').unwrap_or_default().split(' ').collect();
    let [MAGIC, key, sum, tag] = words[..] else {
        return Err("it is not an entry of the release cache, or one of another version".to_owned());
    };
    if key != wanted {
        return Err("it is the entry of another release".to_owned());
    }
    if let Some(secret) = secret {
        let tag = HEXLOWER.decode(tag.as_bytes()).unwrap_or_default();
        hmac::verify(&hmac_key(secret), said(key, sum).as_bytes(), &tag)
            .map_err(|_| "it was not written with the key in cache.secret".to_owned())?;
    }
    match checksum(&mut archive, &mut io::sink()).map_err(|error| error.to_string())? == sum {
        true => Ok(start),
        false => Err("its archive does not have the checksum in its first line".to_owned()),
    }
}

fn hmac_key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose().trim().as_bytes())
}

/// What is authenticated: an entry cannot stand for another one, nor have another archive.
fn said(key: &str, sum: &str) -> String {
    format!("{MAGIC} {key} {sum}")
}

fn checksum(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(HEXLOWER.encode(&hash.finalize())),
            read => {
                hash.update(&buffer[..read]);
                to.write_all(&buffer[..read])?;
            }
        }
    }
}

/// Writes an entry of this archive of at most `most` bytes, which another user made: it is opened once, and no link is followed.
pub fn write(archive: &Path, most: u64, key: &str, secret: &Secret, to: &Path) -> io::Result<()> {
    let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
    let mut archive = File::options().read(true).custom_flags(flags).open(archive)?;
    let found = archive.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("the packed release is not a file"));
    }
    if found.len() > most {
        return Err(io::Error::other("the packed release is too large"));
    }
    let sum = checksum(&mut (&mut archive).take(most), &mut io::sink())?;
    let tag = hmac::sign(&hmac_key(secret), said(key, &sum).as_bytes());
    let mut entry = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    writeln!(entry, "{} {}", said(key, &sum), HEXLOWER.encode(tag.as_ref()))?;
    io::Seek::rewind(&mut archive)?;
    match checksum(&mut archive.take(most), &mut entry)? == sum {
        true => Ok(()),
        false => Err(io::Error::other("the packed release changed while it was read")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEY: &str = "key";
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// Writes an entry, changes its bytes, and verifies it. Returns its archive.
    fn read(wanted: &str, secret: Option<&str>, change: impl Fn(&mut Vec<u8>)) -> Result<Vec<u8>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("archive"), b"bytes of an archive").unwrap();
        write(&path("archive"), 100, KEY, &Secret::new(SECRET), &path("entry")).unwrap();
        let mut bytes = fs::read(path("entry")).unwrap();
        change(&mut bytes);
        fs::write(path("changed"), &bytes).unwrap();
        let start = verify(&path("changed"), wanted, secret.map(Secret::new).as_ref())?;
        Ok(bytes.split_off(start as usize))
    }

    #[test]
    fn an_entry_gives_its_archive() {
        for secret in [None, Some("0123456789abcdef0123456789abcdef\n")] {
            assert_eq!(read(KEY, secret, |_| ()).unwrap(), b"bytes of an archive");
        }
    }

    #[test]
    fn another_entry_or_one_that_was_changed_is_refused() {
        let secret = Some(SECRET);
        let begin = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let says = |result: Result<Vec<u8>, String>, says: &str| {
            let cause = result.unwrap_err();
            assert!(cause.contains(says), "{cause}");
        };
        says(read("other", secret, |_| ()), "another release");
        says(read(KEY, Some("another-key-another-key-another-key"), |_| ()), "not written with the key");
        for secret in [None, secret] {
            says(read(KEY, secret, |bytes| bytes.truncate(bytes.len() - 1)), "checksum");
            says(read(KEY, secret, |bytes| bytes.push(b'x')), "checksum");
        }
        // Another archive, with its own checksum and the former authentication, or none.
        for tag in [true, false] {
            let forge = |bytes: &mut Vec<u8>| {
                let sum = HEXLOWER.encode(&Sha256::digest(b"evil"));
                let at = MAGIC.len() + 1 + KEY.len() + 1;
                bytes[at..at + 64].copy_from_slice(sum.as_bytes());
                bytes.truncate(begin(bytes));
                if !tag {
                    bytes.truncate(at + 65);
                    bytes.push(b'\n');
                }
                bytes.extend(b"evil");
            };
            says(read(KEY, secret, forge), "not written with the key");
        }
        // The authenticated line of another release.
        says(read(KEY, secret, |bytes| bytes[MAGIC.len() + 1] = b'K'), "another release");
        says(read(KEY, secret, |bytes| bytes.truncate(20)), "not an entry");
        says(read(KEY, secret, |bytes| bytes.clear()), "not an entry");
        says(read(KEY, secret, |bytes| *bytes = vec![b'x'; 5000]), "not an entry");
    }

    #[test]
    fn a_link_in_place_of_the_packed_release_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("private"), "x").unwrap();
        std::os::unix::fs::symlink(path("private"), path("archive")).unwrap();
        write(&path("archive"), 100, KEY, &Secret::new(SECRET), &path("entry")).unwrap_err();
        assert!(!path("entry").exists());
    }
}
