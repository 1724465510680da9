//! How a commit is installed and started: what every runtime makes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Runtime, Start};
use crate::fault::Slice;
use crate::plan::Archive;
use crate::plan::layout;
use crate::planner::env::Dialect;

/// How this commit is installed and started on this machine.
#[derive(Debug)]
pub struct Recipe {
    pub of: &'static Runtime,
    pub runtime: String,
    /// The line of versions that run what was installed for any of them: `node 22`.
    pub runtime_line: String,
    /// Whose wish it grants.
    pub chosen_by: String,
    /// What the machine must have first.
    pub needs: Vec<Need>,
    /// Run in order, in the release, as the build user.
    pub work: Vec<Work>,
    pub build_environment: BTreeMap<String, String>,
    pub start: Start,
    /// Run in order as the service, before it starts from a new release.
    pub migrate: Vec<Vec<String>>,
    /// The same as the manifest has them.
    pub migrate_lines: Vec<String>,
    /// What those find beside the service's own environment.
    pub migrate_environment: BTreeMap<String, String>,
    /// How its programs read a `.env`.
    pub dotenv: &'static Dialect,
    /// Variables that the runtime expects unless the service sets them itself.
    pub defaults: BTreeMap<String, String>,
    /// Where programs of the commit's own packages stand, relative to the release.
    pub programs: Vec<String>,
    /// Where the runtime's programs stand.
    pub path: Vec<String>,
    /// What its package manager keeps from one build to the next.
    pub caches: Vec<PathBuf>,
    /// A package of the service's that stores what it is sent as files.
    pub stores_uploads: Option<&'static str>,
    pub notes: Vec<String>,
}

/// What must be on the machine before anything can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    Archive(Archive),
    /// Packages of the distribution.
    Packages(Vec<String>),
    /// A program of ours that the build runs: a file of root's.
    Script {
        path: PathBuf,
        text: &'static str,
    },
}

#[derive(Debug)]
pub struct Work {
    pub name: String,
    pub why: String,
    pub argv: Vec<String>,
    /// What of it changes the release: a line of the manifest, or an installer's command without flags that only make
    /// it quieter.
    pub line: String,
    pub slice: Slice,
}

impl Recipe {
    /// PATH for whatever runs in this tree: a release, or the current one.
    pub fn search_path(&self, tree: &Path) -> String {
        let own = self.programs.iter().map(|programs| tree.join(programs).display().to_string());
        let all = own.chain(self.path.iter().cloned());
        all.chain(["/usr/local/bin:/usr/bin:/bin".to_owned()]).collect::<Vec<_>>().join(":")
    }

    /// Those of its runtimes that are ours to remove.
    pub fn runtimes(&self) -> Vec<PathBuf> {
        let version = |path: &String| {
            let inside = Path::new(path).strip_prefix(layout::RUNTIMES).ok()?;
            Some(Path::new(layout::RUNTIMES).join(inside.iter().take(2).collect::<PathBuf>()))
        };
        self.path.iter().filter_map(version).collect()
    }

    pub fn archives(&self) -> impl Iterator<Item = &Archive> {
        self.needs.iter().filter_map(|need| match need {
            Need::Archive(archive) => Some(archive),
            Need::Packages(_) | Need::Script { .. } => None,
        })
    }

    pub fn packages(&self) -> impl Iterator<Item = &String> {
        self.needs.iter().flat_map(|need| match need {
            Need::Packages(names) => names.as_slice(),
            Need::Archive(_) | Need::Script { .. } => &[],
        })
    }

    pub fn scripts(&self) -> impl Iterator<Item = (&PathBuf, &'static str)> {
        self.needs.iter().filter_map(|need| match need {
            Need::Script { path, text } => Some((path, *text)),
            Need::Packages(_) | Need::Archive(_) => None,
        })
    }

    /// Two commits of one tree differ in their commit; one commit under two recipes differs in this. It has what
    /// changes the release's bytes, and the migration, which is done once for each release. A patched Node, a
    /// newer agent that calls npm in another way, or another start command is no reason to build anew what is
    /// there: perhaps at a reboot, with no git server in reach.
    pub fn fingerprint(&self) -> String {
        #[derive(Serialize)]
        struct Identity<'a> {
            runtime: &'a str,
            work: Vec<(&'a str, &'a str)>,
            migrate: &'a [String],
        }
        let work = self.work.iter().map(|work| (work.name.as_str(), work.line.as_str())).collect();
        let identity = Identity { runtime: &self.runtime_line, work, migrate: &self.migrate_lines };
        let text = serde_json::to_vec(&identity).unwrap_or_default();
        Sha256::digest(&text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}
