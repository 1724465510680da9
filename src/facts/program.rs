//! Installed programs of runtimes: where to look for them, and which were found. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

/// Installed versions by the program's name, the newest first.
pub type Programs = BTreeMap<String, Vec<Installed>>;

/// An installed version of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Installed {
    /// `22.11.0`.
    pub version: String,
    /// The path of the file itself, without symbolic links: those may point to another version later.
    pub program: PathBuf,
    /// Programs that were installed together with it, out of `Places::beside`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub beside: BTreeSet<String>,
}

impl Installed {
    /// The directory of the program.
    pub fn bin(&self) -> &Path {
        self.program.parent().unwrap_or(Path::new("/"))
    }

    pub fn has(&self, companion: &str) -> bool {
        self.beside.contains(companion)
    }
}

/// Where distributions, official archives and builders of AMIs install a program.
#[derive(Debug)]
pub struct Places {
    /// The program's name in `Facts::programs` and in bootagent's own directory of runtimes.
    pub program: &'static str,
    /// Possible names of its file.
    pub names: &'static [&'static str],
    pub directories: &'static [&'static str],
    /// Parents of directories with one version each, and the prefix of those directories' names. Each has a `bin`.
    pub versions: &'static [(&'static str, &'static str)],
    /// The argument with which it prints its version.
    pub asked: &'static str,
    /// The text that it then prints before the version.
    pub prints: &'static str,
    /// Programs that may be installed together with it: a name, and possible paths relative to the directory of the
    /// program. `{line}` stands for the first two numbers of the version.
    pub beside: &'static [(&'static str, &'static [&'static str])],
}

/// Also reads the records of the first version, which had Node only: its directory, and whether npm is in it.
#[derive(Deserialize)]
struct Written {
    version: String,
    program: Option<PathBuf>,
    #[serde(default)]
    beside: BTreeSet<String>,
    bin: Option<PathBuf>,
    #[serde(default)]
    npm: bool,
}

impl From<Written> for Installed {
    fn from(written: Written) -> Self {
        let Written { version, program, mut beside, bin, npm } = written;
        beside.extend(npm.then(|| "npm".to_owned()));
        let program = program.or(bin.map(|bin| bin.join("node"))).unwrap_or_default();
        Installed { version, program, beside }
    }
}

/// Reads the map of today, or the list of Node versions in a record of the first version.
pub fn programs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Programs, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Programs(Programs),
        Node(Vec<Installed>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Programs(programs) => programs,
        Written::Node(node) if node.is_empty() => Programs::new(),
        Written::Node(node) => [("node".to_owned(), node)].into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;

    #[test]
    fn records_are_read_in_both_forms() {
        let found = Installed {
            version: "22.11.0".to_owned(),
            program: "/opt/node-v22/bin/node".into(),
            beside: ["npm".to_owned()].into(),
        };
        assert_eq!((found.bin(), found.has("npm")), (Path::new("/opt/node-v22/bin"), true));
        let facts = Facts { programs: [("node".to_owned(), vec![found.clone()])].into(), ..Facts::default() };
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);

        let machine = r#""machine": {"os": "", "version": "", "arch": "", "memory_mib": 0, "systemd": null}"#;
        let rest = r#""installed": false, "instance": null, "tags": null, "claims": [], "good": {},
            "taken": {"users": [], "groups": [], "units": [], "paths": []}"#;
        let node = r#""node": [{"version": "22.11.0", "bin": "/opt/node-v22/bin", "npm": true}]"#;
        let read = |text: String| serde_json::from_str::<Facts>(&text).unwrap();
        assert_eq!(read(format!("{{{machine}, {rest}, {node}}}")), facts);
        assert_eq!(read(format!("{{{machine}, {rest}, \"node\": []}}")), Facts::default());
    }
}
