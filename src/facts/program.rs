//! Programs of runtimes as they are installed: where they are looked for, and what was found. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

/// By the program's name, each list with its newest version first.
pub type Programs = BTreeMap<String, Vec<Installed>>;

/// An installed version of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Installed {
    /// `22.11.0`.
    pub version: String,
    /// The file itself, and not a link that may come to lead elsewhere.
    pub program: PathBuf,
    /// What came along with it, of all that `Places::beside` names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub beside: BTreeSet<String>,
}

impl Installed {
    /// The directory that holds it.
    pub fn bin(&self) -> &Path {
        self.program.parent().unwrap_or(Path::new("/"))
    }

    pub fn has(&self, companion: &str) -> bool {
        self.beside.contains(companion)
    }
}

/// Where a program is looked for, by distributions, official archives and image builders.
#[derive(Debug)]
pub struct Places {
    /// Its name in `Facts::programs`, and below the directory of runtimes that were installed from archives.
    pub program: &'static str,
    /// What its file may be called.
    pub names: &'static [&'static str],
    pub directories: &'static [&'static str],
    /// Directories that hold one for each version, each with its `bin`: the parent, and how their names begin.
    pub versions: &'static [(&'static str, &'static str)],
    /// What `--version` prints before the version.
    pub prints: &'static str,
    /// What may have come along with it: a name, and paths from its directory, in which `{line}` is the version's first
    /// two numbers.
    pub beside: &'static [(&'static str, &'static [&'static str])],
}

/// The first version knew Node only, and of it the directory and whether npm stands there.
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

/// A map, or the list of Nodes that the first version recorded.
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
    fn a_record_reads_back_and_so_does_the_first_version_s() {
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
