//! A copy of a repository, from which a commit is read while the repository's git server cannot be reached. Plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of copy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyKind {
    /// Another git server.
    Mirror,
    /// A git bundle in the fleet memory.
    Bundle,
    /// A git bundle in the machine's image.
    Image,
}

/// From which copy a commit was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCopy {
    pub kind: CopyKind,
    /// Its address or path.
    pub place: String,
    /// How old the copy was when it was read, in seconds; `None` for a mirror, which does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
}

impl CopyKind {
    pub fn name(self) -> &'static str {
        match self {
            CopyKind::Mirror => "the mirror",
            CopyKind::Bundle => "the bundle",
            CopyKind::Image => "the bundle of the image",
        }
    }
}

impl fmt::Display for SourceCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.place)?;
        match self.age {
            Some(seconds) => write!(f, ", {} old", age(seconds)),
            None => Ok(()),
        }
    }
}

/// An age in words: `10 min`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_named_with_its_place_and_age() {
        let copy = |age| SourceCopy { kind: CopyKind::Bundle, place: "s3://acme/x".to_owned(), age };
        for (age, words) in
            [(0, "0 s"), (119, "119 s"), (600, "10 min"), (90_000, "25 h"), (864_000, "10 days")]
        {
            assert_eq!(copy(Some(age)).to_string(), format!("the bundle s3://acme/x, {words} old"));
        }
        assert_eq!(copy(None).to_string(), "the bundle s3://acme/x");
    }
}
