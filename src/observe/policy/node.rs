//! Whether and from where Node may come when the machine has none that fits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::plan::Setting;

const OFFICIAL: &str = "https://nodejs.org/dist";

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub archives: Option<bool>,
    /// An archive's name to its SHA-256, as lines of SHASUMS256.txt have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
}

impl Node {
    pub fn is_empty(&self) -> bool {
        *self == Node::default()
    }

    pub fn over(self, under: Node) -> Node {
        let checksums = if self.checksums.is_empty() { under.checksums } else { self.checksums };
        Node { archives: self.archives.or(under.archives), checksums }
    }

    pub fn check(&self) -> Result<(), String> {
        for (file, sha256) in &self.checksums {
            if !is_archive(file) {
                return Err(format!(
                    "node.checksums names \"{}\", which is no archive like node-v22.20.0-linux-x64.tar.gz",
                    file.escape_default()
                ));
            }
            if sha256.len() != 64 || !sha256.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
            {
                return Err(format!("node.checksums has no SHA-256 (64 of 0-9 and a-f) for {file}"));
            }
        }
        Ok(())
    }
}

fn is_archive(file: &str) -> bool {
    let Some(rest) = file.strip_prefix("node-v").and_then(|rest| rest.strip_suffix(".tar.gz")) else {
        return false;
    };
    let version = ["-linux-x64", "-linux-arm64"].iter().find_map(|platform| rest.strip_suffix(platform));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    version.is_some_and(|version| version.split('.').count() == 3 && version.split('.').all(number))
}

/// What the policy says of Node's official archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeArchives {
    pub allowed: bool,
    /// An address below which it is as below https://nodejs.org/dist.
    pub mirror: String,
    /// If there are any, no other archive may be installed.
    pub checksums: BTreeMap<String, String>,
}

impl Default for NodeArchives {
    fn default() -> Self {
        NodeArchives { allowed: true, mirror: OFFICIAL.to_owned(), checksums: BTreeMap::new() }
    }
}

impl Policy {
    /// And those settings of it that somebody made.
    pub fn node(&self) -> (NodeArchives, Vec<Setting>) {
        let default = NodeArchives::default();
        let allowed = self.said(|fragment| fragment.node.archives);
        let checksums =
            self.said(|fragment| Some(fragment.node.checksums.clone()).filter(|pins| !pins.is_empty()));
        let pins = checksums.as_ref().map(|pins| Setting {
            name: "node.checksums".to_owned(),
            value: format!("{} pinned", pins.value.len()),
            origin: pins.origin.to_string(),
        });
        let settings = allowed.iter().map(|said| said.setting("node.archives")).chain(pins).collect();
        let archives = NodeArchives {
            allowed: allowed.map_or(default.allowed, |said| said.value),
            mirror: self.mirrors().node.map_or(default.mirror, |mirror| mirror.to_string()),
            checksums: checksums.map_or(default.checksums, |said| said.value),
        };
        (archives, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(file: &str, sha256: &str) -> Node {
        Node { checksums: [(file.to_owned(), sha256.to_owned())].into(), ..Node::default() }
    }

    #[test]
    fn pins_are_archives_with_checksums() {
        let sum = "0123456789abcdef".repeat(4);
        for file in ["node-v22.20.0-linux-x64.tar.gz", "node-v20.9.0-linux-arm64.tar.gz"] {
            assert_eq!(pinned(file, &sum).check(), Ok(()));
        }
        for file in [
            "22.20.0",
            "node-v22-linux-x64.tar.gz",
            "node-v22.20.0-linux-x64.tar.xz",
            "node-v22.20.0-darwin-x64.tar.gz",
            "node-v22.20.0/../../x-linux-x64.tar.gz",
            "",
        ] {
            assert!(pinned(file, &sum).check().is_err(), "{file} was let through");
        }
        for sum in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
            assert!(pinned("node-v22.20.0-linux-x64.tar.gz", sum).check().is_err(), "{sum} was let through");
        }
    }
}
