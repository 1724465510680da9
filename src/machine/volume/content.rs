//! What is on a block device, without mounting it. A device is empty only if blkid knows nothing on it and its beginning and
//! its end are zeros.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use crate::error::{Code, Coded, Error, Result};
use crate::machine::process::program::{self, how_it_ended};
use crate::secret::ForeignText;

/// The bytes that are read at the beginning and at the end: all that file systems, partition tables and RAIDs write as their
/// signature is there.
const BEGINNING: u64 = 16 << 20;
const END: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Empty,
    /// A file system of this kind and label.
    FileSystem {
        kind: String,
        label: String,
    },
    /// Anything else, in a few words.
    Other(String),
}

pub async fn look(device: &Path) -> Result<Content> {
    let path = device.display().to_string();
    let argv = ["blkid", "--probe", "--output", "export", "--", &path];
    let output = program::run(&argv, None, Duration::from_secs(30), 64 << 10).await?;
    match output.status {
        Some(0) => Ok(parse(&output.text())),
        // Nothing that blkid knows.
        Some(2) => {
            let device = device.to_owned();
            crate::machine::blocking(move || {
                Ok(match zeros(&device)? {
                    true => Content::Empty,
                    false => Content::Other("bytes of no known file system".to_owned()),
                })
            })
            .await
        }
        Some(8) => Ok(Content::Other("signatures of several file systems".to_owned())),
        _ => Err(Error::new(Code::VolumeFailed, format!("reading {path}"), how_it_ended(&output))
            .saying(output.both_ends())),
    }
}

/// Parses blkid's `NAME=value` lines.
fn parse(text: &str) -> Content {
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    let word = |text: String| ForeignText::line(&text).shown(&Default::default());
    match (value("USAGE").as_str(), value("TYPE"), value("PTTYPE")) {
        ("filesystem", kind, table) if !kind.is_empty() && table.is_empty() => {
            Content::FileSystem { kind, label: value("LABEL") }
        }
        (_, _, table) if !table.is_empty() => Content::Other(format!("a partition table ({})", word(table))),
        (_, kind, _) => Content::Other(format!("a signature of {}", word(kind))),
    }
}

fn zeros(device: &Path) -> Result<bool> {
    let doing = || format!("reading {}", device.display());
    let mut file = File::open(device).coded(Code::VolumeFailed, doing)?;
    let length = file.seek(SeekFrom::End(0)).coded(Code::VolumeFailed, doing)?;
    for (from, most) in [(0, BEGINNING), (length.saturating_sub(END), END)] {
        file.seek(SeekFrom::Start(from)).coded(Code::VolumeFailed, doing)?;
        let mut bytes = Vec::new();
        (&file).take(most).read_to_end(&mut bytes).coded(Code::VolumeFailed, doing)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_told_from_what_else_a_disk_may_have() {
        let xfs = "DEVNAME=/dev/x\nLABEL=orders\nUUID=1\nTYPE=xfs\nUSAGE=filesystem\n";
        assert_eq!(parse(xfs), Content::FileSystem { kind: "xfs".to_owned(), label: "orders".to_owned() });
        for (text, says) in [
            ("PTUUID=1\nPTTYPE=gpt\n", "a partition table (gpt)"),
            ("TYPE=LVM2_member\nUSAGE=raid\n", "LVM2_member"),
            ("TYPE=crypto_LUKS\nUSAGE=crypto\n", "crypto_LUKS"),
            ("TYPE=swap\nUSAGE=other\n", "swap"),
        ] {
            let Content::Other(found) = parse(text) else { panic!("{text}") };
            assert!(found.contains(says), "{found}");
        }
    }

    #[test]
    fn one_byte_at_either_end_makes_a_disk_not_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |at: u64, byte: u8| {
            use std::os::unix::fs::FileExt;
            file.as_file().write_all_at(&[byte], at).unwrap();
        };
        assert!(!zeros(file.path()).unwrap(), "a device without bytes");
        file.as_file().set_len(64 << 20).unwrap();
        assert!(zeros(file.path()).unwrap());
        for at in [0, 4096, (16 << 20) - 1, (64 << 20) - 1, 63 << 20] {
            write(at, 1);
            assert!(!zeros(file.path()).unwrap(), "{at}");
            write(at, 0);
        }
        assert!(zeros(file.path()).unwrap());
    }
}
