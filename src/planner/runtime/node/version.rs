//! A requested version of Node, in the grammar of npm or nvm, and whether a version fits it.

use nodejs_semver::{Range, Version};

use crate::error::{Code, Error, Result};
use crate::plan::Archive;
use crate::secret::excerpt;

/// A requested version range, and the file or key that requests it.
pub struct Request {
    pub range: String,
    pub by: &'static str,
}

/// In bytes. Each of hundreds of releases is compared with each part of the range, so that a long one would take
/// minutes.
const LONGEST_RANGE: usize = 256;

/// The chosen Node.
#[derive(Debug)]
pub struct Node {
    pub version: String,
    /// Directory of `node` and `npm`.
    pub bin: std::path::PathBuf,
    /// Directory of the npm that is used: the same, unless the commit names a version of npm.
    pub npm: std::path::PathBuf,
    /// Whether its headers are installed beside it: node-gyp needs them to compile an addon.
    pub has_headers: bool,
    /// The archive to install. `None` if it is installed.
    pub archive: Option<Archive>,
}

/// A parsed request.
pub enum Versions {
    /// No version is requested.
    Any,
    Range(Range),
    /// Any release line with long-term support, or the one with this code name.
    Lts(Option<String>),
}

/// Code names and major versions of Node's LTS lines, as in nvm's `lts/jod`: `node --version` does not print the name.
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

impl Versions {
    /// Whether an installed or pinned version fits.
    pub fn fit_version(&self, version: &Version) -> bool {
        match self {
            Versions::Any => true,
            Versions::Range(range) => range.satisfies(version),
            // Even majors get long-term support.
            Versions::Lts(None) => version.major().is_multiple_of(2),
            Versions::Lts(Some(name)) => LTS.contains(&(name.as_str(), version.major())),
        }
    }

    /// Whether a release of the index fits, which has the code name of its line. Without a request, only LTS
    /// releases fit.
    pub fn fit_release(&self, version: &Version, lts: Option<&str>) -> bool {
        match self {
            Versions::Range(range) => range.satisfies(version),
            Versions::Any | Versions::Lts(None) => lts.is_some(),
            Versions::Lts(Some(name)) => lts.is_some_and(|lts| lts.eq_ignore_ascii_case(name)),
        }
    }
}

impl Request {
    pub fn any() -> Request {
        Request { range: "*".to_owned(), by: "no version is asked for" }
    }

    fn is_any(&self) -> bool {
        self.by == Request::any().by
    }

    /// Whether it is `engines`, of the service or of the root.
    pub fn is_of_engines(&self) -> bool {
        self.by.starts_with("engines")
    }

    /// The range for messages, shortened and escaped: a version file of a repository may contain any text.
    pub fn shown(&self) -> String {
        excerpt(&self.range)
    }

    pub fn doing(&self) -> String {
        format!("looking for Node {} ({})", self.shown(), self.by)
    }

    /// Parses npm's ranges, and nvm's `lts/*`, `lts/NAME`, `node`.
    pub fn versions(&self) -> Result<Versions> {
        if self.range.len() > LONGEST_RANGE {
            let cause = format!("the range has {} bytes; the limit is {LONGEST_RANGE}", self.range.len());
            return Err(Error::new(Code::ManifestInvalid, self.doing(), cause)
                .remedy("write a version like 22, a range like >=20, or lts/*"));
        }
        let word = self.range.strip_prefix('v').unwrap_or(&self.range);
        let line = word.strip_prefix("lts/").filter(|name| name.chars().all(|c| c.is_ascii_alphabetic()));
        let range = match (word, line) {
            _ if self.is_any() => return Ok(Versions::Any),
            ("lts/*" | "lts", _) => return Ok(Versions::Lts(None)),
            (_, Some(name)) if !name.is_empty() => return Ok(Versions::Lts(Some(name.to_lowercase()))),
            ("node" | "latest" | "current" | "stable", _) => Range::parse("*"),
            (other, _) => Range::parse(other),
        };
        range.map(Versions::Range).map_err(|error| {
            Error::new(Code::ManifestInvalid, self.doing(), format!("not a version range: {error}"))
                .remedy("write a version like 22, a range like >=20, or lts/*")
        })
    }

    pub fn fits(&self, version: &str) -> Result<bool> {
        let versions = self.versions()?;
        Ok(version == crate::planner::runtime::ANY_VERSION
            || Version::parse(version).is_ok_and(|version| versions.fit_version(&version)))
    }
}
