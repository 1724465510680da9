//! Which Node: the most explicit wish counts, and an installed Node that grants it wins over an archive.

use nodejs_semver::{Range, Version};

use crate::error::{Code, Error, Result};
use crate::plan::Archive;
use crate::secret::excerpt;

/// A version range and who asks for it.
pub struct Wish {
    pub range: String,
    pub by: &'static str,
}

/// Bytes of a range. Each part of it is held against every release that there is.
const LONGEST_RANGE: usize = 256;

/// What a wish comes to.
#[derive(Debug)]
pub struct Node {
    pub version: String,
    pub bin: std::path::PathBuf,
    /// What must be unpacked first.
    pub archive: Option<Archive>,
}

/// A wish, understood.
pub enum Asked {
    /// No version is asked for.
    Nothing,
    Range(Range),
    /// Any line with long-term support, or the one of this name.
    Lts(Option<String>),
}

/// Node's lines with long-term support, as nvm names them: installed ones don't tell their names.
const LTS: &[(&str, u64)] = &[
    ("argon", 4),
    ("boron", 6),
    ("carbon", 8),
    ("dubnium", 10),
    ("erbium", 12),
    ("fermium", 14),
    ("gallium", 16),
    ("hydrogen", 18),
    ("iron", 20),
    ("jod", 22),
    ("krypton", 24),
];

impl Asked {
    pub fn of_version(&self, version: &Version) -> bool {
        match self {
            Asked::Nothing => true,
            Asked::Range(range) => range.satisfies(version),
            // Even majors have long-term support.
            Asked::Lts(None) => version.major().is_multiple_of(2),
            Asked::Lts(Some(name)) => LTS.contains(&(name.as_str(), version.major())),
        }
    }

    /// The same for a release that tells whether its line has long-term support. Who asks for nothing
    /// gets what is supported longest.
    pub fn of_release(&self, version: &Version, lts: Option<&str>) -> bool {
        match self {
            Asked::Range(range) => range.satisfies(version),
            Asked::Nothing | Asked::Lts(None) => lts.is_some(),
            Asked::Lts(Some(name)) => lts.is_some_and(|lts| lts.eq_ignore_ascii_case(name)),
        }
    }
}

impl Wish {
    pub fn nothing() -> Wish {
        Wish { range: "*".to_owned(), by: "no version is asked for" }
    }

    fn is_nothing(&self) -> bool {
        self.by == Wish::nothing().by
    }

    /// A version file may hold anything.
    pub fn shown(&self) -> String {
        excerpt(&self.range)
    }

    pub fn doing(&self) -> String {
        format!("looking for Node {} ({})", self.shown(), self.by)
    }

    /// By npm's grammar or in one of nvm's words.
    pub fn asked(&self) -> Result<Asked> {
        if self.range.len() > LONGEST_RANGE {
            let cause = format!("the range has {} bytes; the limit is {LONGEST_RANGE}", self.range.len());
            return Err(Error::new(Code::ManifestInvalid, self.doing(), cause)
                .remedy("write a version like 22, a range like >=20, or lts/*"));
        }
        let word = self.range.strip_prefix('v').unwrap_or(&self.range);
        let line = word.strip_prefix("lts/").filter(|name| name.chars().all(|c| c.is_ascii_alphabetic()));
        let range = match (word, line) {
            _ if self.is_nothing() => return Ok(Asked::Nothing),
            ("lts/*" | "lts", _) => return Ok(Asked::Lts(None)),
            (_, Some(name)) if !name.is_empty() => return Ok(Asked::Lts(Some(name.to_lowercase()))),
            ("node" | "latest" | "current", _) => Range::parse("*"),
            (other, _) => Range::parse(other),
        };
        range.map(Asked::Range).map_err(|error| {
            Error::new(Code::ManifestInvalid, self.doing(), format!("not a version range: {error}"))
                .remedy("write a version like 22, a range like >=20, or lts/*")
        })
    }

    pub fn is_granted_by(&self, version: &str) -> Result<bool> {
        let asked = self.asked()?;
        Ok(version == super::ANY_VERSION
            || Version::parse(version).is_ok_and(|version| asked.of_version(&version)))
    }
}
