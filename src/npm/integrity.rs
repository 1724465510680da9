//! The `integrity` of a lockfile's entry: the hashes of an archive, of which the strongest algorithm counts.

use data_encoding::BASE64;

use super::{Obstacle, Result, quoted};

/// From the strongest on, as npm prefers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    Sha512,
    Sha384,
    Sha256,
    /// Only in lockfiles of packages that were published before 2017.
    Sha1,
}

impl Algorithm {
    /// Whether no two contents with one hash can be made.
    pub fn is_strong(self) -> bool {
        self != Algorithm::Sha1
    }

    fn named(name: &str) -> Option<(Algorithm, usize)> {
        Some(match name {
            "sha512" => (Algorithm::Sha512, 64),
            "sha384" => (Algorithm::Sha384, 48),
            "sha256" => (Algorithm::Sha256, 32),
            "sha1" => (Algorithm::Sha1, 20),
            _ => return None,
        })
    }
}

/// The hashes of the strongest algorithm. An archive with any of them is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integrity {
    pub algorithm: Algorithm,
    pub hashes: Vec<Vec<u8>>,
}

impl Integrity {
    pub fn parse(text: &str) -> Result<Integrity> {
        let bad = || Obstacle::ForNpm(format!("the integrity {} has a form of its own", quoted(text)));
        let mut all = Vec::new();
        for one in text.split_ascii_whitespace() {
            let (name, encoded) = one.split_once('-').ok_or_else(bad)?;
            let (algorithm, length) = Algorithm::named(name).ok_or_else(bad)?;
            let hash = BASE64.decode(encoded.as_bytes()).map_err(|_| bad())?;
            if hash.len() != length {
                return Err(bad());
            }
            all.push((algorithm, hash));
        }
        let algorithm = all.iter().map(|(algorithm, _)| *algorithm).min().ok_or_else(bad)?;
        let hashes = all.into_iter().filter(|(other, _)| *other == algorithm).map(|(_, hash)| hash).collect();
        Ok(Integrity { algorithm, hashes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_algorithm_counts() {
        let sha1 = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
        let sha512 = format!("sha512-{}==", "A".repeat(86));
        let both = Integrity::parse(&format!("{sha1} {sha512}")).unwrap();
        assert_eq!((both.algorithm, both.hashes), (Algorithm::Sha512, vec![vec![0; 64]]));
        assert_eq!(Integrity::parse(sha1).unwrap().algorithm, Algorithm::Sha1);
        assert_eq!(Integrity::parse(&format!("{sha512} {sha512}")).unwrap().hashes.len(), 2);
    }

    #[test]
    fn what_is_not_a_whole_hash_is_for_npm() {
        for text in [
            "",
            " ",
            "sha512",
            "sha512-",
            "sha512-AAAA",
            "md5-2jmj7l5rSw0yVb/vlWAYkA==",
            "sha1-!",
            "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=?opt",
        ] {
            assert!(Integrity::parse(text).is_err(), "{text}");
        }
    }
}
