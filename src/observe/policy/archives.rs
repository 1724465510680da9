//! The tables `[node]` and `[archives.NAME]`: whether a runtime may be installed from its official archives if the
//! machine has no fitting version, and which archives are allowed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::origin::Sourced;
use super::{Fragment, Policy};
use crate::plan::Setting;

/// The table of one program's archives: `[archives.uv]`; for Node also `[node]`, the older form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub archives: Option<bool>,
    /// SHA-256 by the archive's path on its mirror.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
    /// Of Node only: `npm` leaves every installation to npm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installer: Option<String>,
}

impl Words {
    pub fn is_empty(&self) -> bool {
        *self == Words::default()
    }

    pub fn over(self, under: Words) -> Words {
        let checksums = if self.checksums.is_empty() { under.checksums } else { self.checksums };
        let installer = self.installer.or(under.installer);
        Words { archives: self.archives.or(under.archives), checksums, installer }
    }

    /// The checks that do not depend on the program. Its runtime checks the archives' names.
    pub fn check(&self, name: &str) -> Result<(), String> {
        if let Some(installer) =
            self.installer.as_deref().filter(|installer| name != "node" || *installer != "npm")
        {
            return Err(format!(
                "{name}.installer is \"{}\": only node.installer = \"npm\" is known",
                installer.escape_default()
            ));
        }
        for (file, sha256) in &self.checksums {
            let shown = file.escape_default();
            let plain = |part: &str| {
                let letters = part.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
                !part.is_empty() && !part.starts_with('.') && letters
            };
            if !file.ends_with(".tar.gz") || !file.split('/').all(plain) {
                return Err(format!("{name}.checksums names \"{shown}\", which is not a path of a .tar.gz"));
            }
            if sha256.len() != 64 || !sha256.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
            {
                return Err(format!("{name}.checksums has no SHA-256 (64 of 0-9 and a-f) for {shown}"));
            }
        }
        Ok(())
    }
}

/// Merges an upper layer with the layer `under` it, by name.
pub fn over(archives: BTreeMap<String, Words>, under: BTreeMap<String, Words>) -> BTreeMap<String, Words> {
    let mut all = under;
    for (name, words) in archives {
        let under = all.remove(&name).unwrap_or_default();
        all.insert(name, words.over(under));
    }
    all
}

/// Which archives are allowed, by the program's name.
pub type Archives = BTreeMap<String, ArchivesAllowed>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivesAllowed {
    pub allowed: bool,
    /// SHA-256 by the archive's path. If there are any, no other archive may be installed.
    pub checksums: BTreeMap<String, String>,
}

impl Default for ArchivesAllowed {
    fn default() -> Self {
        ArchivesAllowed { allowed: true, checksums: BTreeMap::new() }
    }
}

const NODE: &str = "node";

impl Fragment {
    fn archives_of(&self, name: &str) -> Vec<&Words> {
        let own = (name == NODE).then_some(&self.node);
        own.into_iter().chain(self.archives.get(name)).collect()
    }

    /// All tables of archives, by their names in the policy: `node`, `archives.uv`.
    pub fn all_archives(&self) -> impl Iterator<Item = (String, &Words)> {
        let others = self.archives.iter().map(|(name, words)| (format!("archives.{name}"), words));
        [(NODE.to_owned(), &self.node)].into_iter().chain(others)
    }
}

impl Policy {
    /// The only installer of Node's packages; `None` if a manifest may choose one.
    pub fn node_installer(&self) -> Option<Sourced<String>> {
        self.uppermost(|fragment| fragment.node.installer.clone())
    }

    /// Which archives are allowed, and the settings that are not defaults.
    pub fn archives(&self) -> (Archives, Vec<Setting>) {
        let mut names: Vec<&str> = self
            .layers
            .iter()
            .flat_map(|(_, fragment)| fragment.archives.keys())
            .map(String::as_str)
            .collect();
        names.push(NODE);
        names.sort_unstable();
        names.dedup();
        let (mut archives, mut settings) = (Archives::new(), Vec::new());
        for name in names {
            let (allowed, set) = self.archives_of(name);
            archives.insert(name.to_owned(), allowed);
            settings.extend(set);
        }
        (archives, settings)
    }

    fn archives_of(&self, name: &str) -> (ArchivesAllowed, Vec<Setting>) {
        let default = ArchivesAllowed::default();
        let allowed =
            self.uppermost(|fragment| fragment.archives_of(name).iter().find_map(|words| words.archives));
        let checksums = self.uppermost(|fragment| {
            let pins = fragment.archives_of(name).into_iter().map(|words| &words.checksums);
            pins.into_iter().find(|pins| !pins.is_empty()).cloned()
        });
        let pins = checksums.as_ref().map(|pins| Setting {
            name: format!("{name}.checksums"),
            value: format!("{} pinned", pins.value.len()),
            origin: pins.origin.to_string(),
        });
        let settings =
            allowed.iter().map(|found| found.setting(&format!("{name}.archives"))).chain(pins).collect();
        let archives = ArchivesAllowed {
            allowed: allowed.map_or(default.allowed, |found| found.value),
            checksums: checksums.map_or(default.checksums, |found| found.value),
        };
        (archives, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(file: &str, sha256: &str) -> Words {
        Words { checksums: [(file.to_owned(), sha256.to_owned())].into(), ..Words::default() }
    }

    #[test]
    fn pins_are_archives_with_checksums() {
        let sum = "0123456789abcdef".repeat(4);
        for file in ["node-v22.20.0-linux-x64.tar.gz", "0.9.5/uv-x86_64-unknown-linux-gnu.tar.gz"] {
            assert_eq!(pinned(file, &sum).check("x"), Ok(()));
        }
        for file in [
            "22.20.0",
            "node-v22.20.0-linux-x64.tar.xz",
            "node-v22.20.0/../../x-linux-x64.tar.gz",
            "/x.tar.gz",
            "",
        ] {
            assert!(pinned(file, &sum).check("x").is_err(), "{file} was accepted");
        }
        for sum in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
            let node = "node-v22.20.0-linux-x64.tar.gz";
            assert!(pinned(node, sum).check("x").is_err(), "{sum} was accepted");
        }
    }
}
