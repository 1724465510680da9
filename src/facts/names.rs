//! Names that select what is deployed: service, environment, branch, commit. A value is checked when it is created, so
//! that paths, unit names and commands may contain it without further checks.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::newtype::newtype;

/// Why a value is not a valid name. It quotes the value escaped: a tag may contain terminal sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(String);

impl NameError {
    pub(super) fn of(value: &str, what: &str) -> Self {
        NameError(format!("{} is not {what}", shown(value)))
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

/// The first 40 characters of a value, escaped: tags may be long, and hostile.
fn shown(value: &str) -> String {
    let head: String = value.chars().take(40).collect();
    let more = if value.chars().count() > 40 { "..." } else { "" };
    format!("\"{}{more}\"", head.escape_default())
}

/// The unchanged text, if it fits the grammar.
fn fitting(text: &str, fits: bool, what: &str) -> Result<String, NameError> {
    if fits { Ok(text.to_owned()) } else { Err(NameError::of(text, what)) }
}

fn lower_word(value: &str, longest: usize) -> bool {
    value.len() <= longest
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_branch(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("/.")
}

newtype! {
    /// A service, of at most 25 characters: `NAME-build` is a user name, and useradd allows 32.
    Service, NameError, |text| {
        fitting(text, lower_word(text, 25), "a service name (a-z, then up to 24 of a-z, 0-9 and -)")
    }
}

newtype! {
    /// An environment, by its name in the policy: `test`, `stage`, `prod`.
    Environment, NameError, |text| {
        fitting(text, lower_word(text, 25), "an environment name (a-z, then up to 24 of a-z, 0-9 and -)")
    }
}

newtype! {
    /// A full commit id.
    Commit, NameError, |text| {
        let fits = text.len() == 40 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        fitting(text, fits, "a commit id (40 hexadecimal digits)")
    }
}

newtype! {
    /// A commit id or its first digits: messages show 12 of them, and people copy those.
    CommitPrefix, NameError, |text| {
        let fits = (7..=40).contains(&text.len()) && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        fitting(text, fits, "a commit id, or the beginning of one (7 to 40 hexadecimal digits)")
    }
}

newtype! {
    /// A branch, by a stricter grammar than git's: it must not lead out of refs/heads, or look like an option.
    Branch, NameError, |text| {
        fitting(text, is_branch(text), "a branch name (letters, digits, . _ - and /, up to 100)")
    }
}

/// Common long names of environments, and the short ones of the default policy.
const ENVIRONMENTS: &[(&str, &str)] = &[("staging", "stage"), ("production", "prod")];

impl Environment {
    /// The short name for a common long one, for a policy without an environment of the long name.
    pub fn short(&self) -> Option<Environment> {
        let (_, short) = ENVIRONMENTS.iter().find(|(long, _)| *long == self.0)?;
        Some(Environment((*short).to_owned()))
    }
}

impl Commit {
    /// Its first 12 digits, for messages.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl CommitPrefix {
    /// The commit, if the prefix has all 40 digits.
    pub fn whole(&self) -> Option<Commit> {
        Commit::try_from(self.as_str()).ok()
    }

    /// At most its first 12 digits, for messages.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    pub fn fits(&self, commit: &Commit) -> bool {
        commit.as_str().starts_with(self.as_str())
    }
}

impl From<Commit> for CommitPrefix {
    fn from(commit: Commit) -> Self {
        CommitPrefix(commit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_follow_their_grammar() {
        for good in ["a", "auth-service", "mcp", "a234567890123456789012345"] {
            assert!(Service::try_from(good).is_ok(), "{good} was refused");
        }
        let hostile = [
            "",
            "-a",
            "9a",
            "Auth",
            "a_b",
            "a.b",
            "a/b",
            "../etc",
            "a b",
            "a\n",
            "$(id)",
            "`id`",
            "a;b",
            "a%n",
            "aé",
            "\u{202e}a",
            "a2345678901234567890123456",
        ];
        for bad in hostile {
            assert!(Service::try_from(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn hostile_text_is_shown_escaped_and_short() {
        let error = Service::try_from("a\u{1b}[31m\n".to_owned() + &"x".repeat(256)).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{error}");
        assert!(error.len() < 160, "{error}");
    }

    #[test]
    fn branches_cannot_leave_refs_heads() {
        for good in ["main", "test", "release/1.2", "feature_x"] {
            assert!(Branch::try_from(good).is_ok(), "{good} was refused");
        }
        for bad in ["", "-x", "/x", "a..b", "a//b", "x.lock", "x/", "a b", "a:b", "a^b", "refs/.x", "x~1"] {
            assert!(Branch::try_from(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_commit_has_40_digits() {
        assert!(Commit::try_from("0123456789abcdef0123456789abcdef01234567").is_ok());
        for bad in ["main", "0123456", "0123456789ABCDEF0123456789abcdef01234567"] {
            assert!(Commit::try_from(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_prefix_has_7_to_40_digits() {
        let whole = "0123456789abcdef0123456789abcdef01234567";
        let commit = Commit::try_from(whole).unwrap();
        for digits in ["0123456", "0123456789ab", whole] {
            let prefix = CommitPrefix::try_from(digits).unwrap();
            assert!(prefix.fits(&commit), "{digits}");
            assert_eq!(prefix.whole().is_some(), digits == whole);
        }
        assert!(!CommitPrefix::try_from("1234567").unwrap().fits(&commit));
        assert!(CommitPrefix::from(commit.clone()).fits(&commit));
        for bad in ["", "012345", "main", "HEAD~1", "0123456G", "012345678A", &format!("{whole}0")] {
            assert!(CommitPrefix::try_from(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
