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
/// Bytes of the first line: its four words.
const LINE: u64 = 256;

/// An entry that is not verified yet.
pub struct Entry {
    key: String,
    sum: String,
    tag: Vec<u8>,
    archive: BufReader<File>,
    most: u64,
}

impl Entry {
    pub fn open(file: &Path, most: u64) -> Result<Entry, String> {
        let mut archive = BufReader::new(opened(file)?);
        let mut line = Vec::new();
        (&mut archive).take(LINE).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        let line = String::from_utf8(line).unwrap_or_default();
        let words: Vec<&str> = line.strip_suffix('\n').unwrap_or_default().split(' ').collect();
        let [MAGIC, key, sum, tag] = words[..] else {
            return Err("it is not an entry of the release cache, or one of another version".to_owned());
        };
        let tag = HEXLOWER.decode(tag.as_bytes()).map_err(|_| "its first line is damaged".to_owned())?;
        Ok(Entry { key: key.to_owned(), sum: sum.to_owned(), tag, archive, most })
    }

    /// Copies the archive to a new file, if the entry is the wanted one and whole. `secret`: the key that must have
    /// authenticated it; `None` for a file that only root can change.
    pub fn verified(mut self, wanted: &str, secret: Option<&Secret>, to: &Path) -> Result<(), String> {
        if self.key != wanted {
            return Err("it is the entry of another release".to_owned());
        }
        if let Some(secret) = secret {
            let said = said(&self.key, &self.sum);
            hmac::verify(&hmac_key(secret), said.as_bytes(), &self.tag)
                .map_err(|_| "it was not written with the key in cache.secret".to_owned())?;
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(to)
            .map_err(|error| error.to_string())?;
        let sum = copy(&mut self.archive, &mut file, self.most).map_err(|error| error.to_string())?;
        match sum == self.sum {
            true => Ok(()),
            false => Err("its archive does not have the checksum in its first line".to_owned()),
        }
    }
}

fn opened(file: &Path) -> Result<File, String> {
    File::open(file).map_err(|error| error.to_string())
}

fn hmac_key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose().trim().as_bytes())
}

/// What is authenticated: an entry cannot stand for another one, nor have another archive.
fn said(key: &str, sum: &str) -> String {
    format!("{MAGIC} {key} {sum}")
}

fn copy(from: &mut impl Read, to: &mut impl Write, most: u64) -> io::Result<String> {
    let (mut hash, mut buffer, mut left) = (Sha256::new(), vec![0; 64 << 10], most);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hash.finalize()));
        }
        left = left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("it has over {} MiB", most >> 20)))?;
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
}

/// Writes an entry of this archive.
pub fn write(archive: &Path, key: &str, secret: &Secret, to: &Path) -> io::Result<()> {
    let sum = copy(&mut File::open(archive)?, &mut io::sink(), u64::MAX)?;
    let tag = hmac::sign(&hmac_key(secret), said(key, &sum).as_bytes());
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    writeln!(file, "{} {}", said(key, &sum), HEXLOWER.encode(tag.as_ref()))?;
    io::copy(&mut File::open(archive)?, &mut file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEY: &str = "key";

    /// Writes an entry, changes its bytes, and reads it.
    fn read(wanted: &str, secret: Option<&str>, change: impl Fn(&mut Vec<u8>)) -> Result<Vec<u8>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("archive"), b"bytes of an archive").unwrap();
        write(&path("archive"), KEY, &Secret::new("0123456789abcdef0123456789abcdef"), &path("entry"))
            .unwrap();
        let mut bytes = fs::read(path("entry")).unwrap();
        change(&mut bytes);
        fs::write(path("changed"), bytes).unwrap();
        let secret = secret.map(Secret::new);
        Entry::open(&path("changed"), 1 << 20)?.verified(wanted, secret.as_ref(), &path("out"))?;
        Ok(fs::read(path("out")).unwrap())
    }

    #[test]
    fn an_entry_gives_its_archive() {
        for secret in [None, Some("0123456789abcdef0123456789abcdef\n")] {
            assert_eq!(read(KEY, secret, |_| ()).unwrap(), b"bytes of an archive");
        }
    }

    #[test]
    fn another_entry_or_one_that_was_changed_is_refused() {
        let secret = Some("0123456789abcdef0123456789abcdef");
        let line = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let says = |result: Result<Vec<u8>, String>, says: &str| {
            let cause = result.unwrap_err();
            assert!(cause.contains(says), "{cause}");
        };
        says(read("other", secret, |_| ()), "another release");
        says(read(KEY, Some("another-key-another-key-another-key"), |_| ()), "not written with the key");
        says(read(KEY, secret, |bytes| drop(bytes.pop())), "checksum");
        says(read(KEY, None, |bytes| drop(bytes.pop())), "checksum");
        says(read(KEY, secret, |bytes| bytes.push(b'x')), "checksum");
        // Another archive, with its own checksum and the former authentication.
        says(
            read(KEY, secret, |bytes| {
                let sum = HEXLOWER.encode(&Sha256::digest(b"evil"));
                let begin = MAGIC.len() + 1 + KEY.len() + 1;
                bytes[begin..begin + 64].copy_from_slice(sum.as_bytes());
                bytes.truncate(line(bytes) + 1);
                bytes.extend(b"evil");
            }),
            "not written with the key",
        );
        says(read(KEY, secret, |bytes| bytes.truncate(20)), "not an entry");
        says(read(KEY, secret, |bytes| bytes.clear()), "not an entry");
    }

    #[test]
    fn an_entry_without_an_end_is_bounded() {
        let cause = copy(&mut io::repeat(7), &mut io::sink(), 1 << 20).unwrap_err();
        assert!(cause.to_string().contains("over 1 MiB"));
    }
}
