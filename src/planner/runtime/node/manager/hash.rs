//! The hash behind the version in `packageManager`, as corepack writes it: `+sha512.HEX`, and formerly `+sha224.HEX`. Pure.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use crate::plan::Sha2;

/// Of the archive that the registry has of npm, pnpm and yarn 1, and of the program of a newer yarn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    pub algorithm: Sha2,
    bytes: Vec<u8>,
}

impl Hash {
    /// `sha512.HEX`. None for other algorithms and lengths.
    pub fn parse(text: &str) -> Option<Hash> {
        let (name, hex) = text.split_once('.')?;
        let algorithm = Sha2::ALL.into_iter().find(|one| one.name() == name)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
        (bytes.len() == algorithm.length()).then_some(Hash { algorithm, bytes })
    }

    pub fn hex(&self) -> String {
        HEXLOWER_PERMISSIVE.encode(&self.bytes)
    }

    /// As a lockfile of npm has it. npm verifies each of these algorithms.
    pub fn integrity(&self) -> String {
        format!("{}-{}", self.algorithm.name(), BASE64.encode(&self.bytes))
    }
}

/// `sha1.HEX`.
pub fn is_sha1(text: &str) -> bool {
    let hex = text.strip_prefix("sha1.").unwrap_or_default();
    hex.len() == 40 && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_corepack_writes_is_read() {
        for (algorithm, length) in [("sha224", 28), ("sha256", 32), ("sha384", 48), ("sha512", 64)] {
            let hash = Hash::parse(&format!("{algorithm}.{}", "fF".repeat(length))).unwrap();
            assert_eq!(hash.hex(), "ff".repeat(length));
            assert!(hash.integrity().starts_with(&format!("{algorithm}-////")), "{}", hash.integrity());
            for bad in [
                format!("{algorithm}.{}", "f".repeat(2 * length - 2)),
                format!("{algorithm}.{}", "x".repeat(2 * length)),
            ] {
                assert_eq!(Hash::parse(&bad), None);
            }
        }
        let sha1 = format!("sha1.{}", "f".repeat(40));
        assert!(is_sha1(&sha1) && !is_sha1(&sha1[1..]) && !is_sha1("sha1.d6e460ea"));
        for bad in [sha1, "sha512".to_owned(), String::new()] {
            assert_eq!(Hash::parse(&bad), None);
        }
    }
}
