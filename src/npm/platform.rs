//! Whether a package is for this machine: its `os`, `cpu`, `libc` and `engines`, as npm judges them.

use nodejs_semver::{Range, Version};
use serde_json::Value;

use super::entry::Entry;
use super::{Result, for_npm, quoted};

/// The machine in Node's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `x64`, `arm64`.
    pub cpu: String,
    /// `glibc` or `musl`; `None` if it is not known, and then a package that asks for one is npm's.
    pub libc: Option<String>,
    /// Versions of three numbers.
    pub node: String,
    pub npm: Option<String>,
}

const OS: &str = "linux";

impl Platform {
    /// Whether npm is of this version or a later one.
    pub fn has_npm_since(&self, since: (u64, u64, u64)) -> bool {
        let parsed = self.npm.as_deref().and_then(|npm| Version::parse(npm).ok());
        parsed.is_some_and(|npm| (npm.major(), npm.minor(), npm.patch()) >= since)
    }

    /// Whether the package's lists have this machine.
    pub fn has(&self, entry: &Entry) -> Result<bool> {
        let libc = entry.list("libc")?;
        let libc_fits = match &self.libc {
            _ if libc.is_empty() && !entry.fields.contains_key("libc") => true,
            Some(own) => is_in(own, &libc),
            None => {
                return for_npm(format!(
                    "{} is for one C library, and this machine's is not known",
                    quoted(&entry.path)
                ));
            }
        };
        let os = !entry.fields.contains_key("os") || is_in(OS, &entry.list("os")?);
        let cpu = !entry.fields.contains_key("cpu") || is_in(&self.cpu, &entry.list("cpu")?);
        Ok(os && cpu && libc_fits)
    }

    /// Whether the package's `engines` have this Node and npm.
    pub fn runs(&self, entry: &Entry) -> Result<bool> {
        let Some(engines) = entry.fields.get("engines") else { return Ok(true) };
        let fits = |name: &str, version: Option<&str>| match engines.get(name) {
            None => Ok(true),
            Some(Value::String(range)) if range.is_empty() => Ok(true),
            Some(Value::String(range)) => {
                let range = Range::parse(range).ok().filter(|_| range.len() < 1000);
                match (range, version.map(Version::parse)) {
                    (Some(range), Some(Ok(version))) => Ok(range.satisfies(&version)),
                    _ => for_npm(format!("engines of {} are not understood here", quoted(&entry.path))),
                }
            }
            Some(_) => entry.unusual("engines"),
        };
        Ok(fits("node", Some(&self.node))? && fits("npm", self.npm.as_deref())?)
    }
}

/// At least one entry is `value`, or all exclude others.
fn is_in(value: &str, list: &[&str]) -> bool {
    if list == ["any"] {
        return true;
    }
    let (excluded, included): (Vec<&str>, Vec<&str>) = list.iter().partition(|one| one.starts_with('!'));
    let is_excluded = excluded.iter().any(|one| one.strip_prefix('!') == Some(value));
    !is_excluded && (included.contains(&value) || included.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_platforms_are_read_as_npm_reads_them() {
        for (list, has) in [
            (&["linux"][..], true),
            (&["darwin", "linux"], true),
            (&["!win32"], true),
            (&["any"], true),
            (&[], true),
            (&["!win32", "!darwin"], true),
            (&["darwin"], false),
            (&["!linux"], false),
            (&["!linux", "linux"], false),
            (&["!win32", "darwin"], false),
            (&["any", "darwin"], false),
        ] {
            assert_eq!(is_in("linux", list), has, "{list:?}");
        }
    }
}
