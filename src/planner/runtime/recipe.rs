//! What a runtime is, as a row of data and functions, and the recipe that it makes of a commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::command::Start;
use crate::facts::{Facts, Mirrors, Network, Places, Source};
use crate::fault::Slice;
use crate::observe::manifest::{Manifest, Table};
use crate::observe::{Archives, PackagesAllowed};
use crate::plan::Archive;
use crate::plan::layout::{self, Layout};
use crate::planner::env::Dialect;
use crate::planner::unmet::Unmet;

/// A runtime: what is particular to one, as data and functions.
#[derive(Debug)]
pub struct Runtime {
    /// As manifests name it.
    pub name: &'static str,
    /// The files whose text a fetch brings along.
    pub evidence: &'static [&'static str],
    /// What is looked for on the machine.
    pub programs: &'static [Places],
    /// Its own table of the manifest.
    pub table: Table,
    /// Its part of the policy: what may come from archives, and what from a mirror.
    pub archives: &'static [ArchiveNames],
    pub mirrors: &'static [&'static str],
    /// Who reads the `.env` of its services.
    pub dialect: &'static Dialect,
    /// How its tools are told of the network, beside what every program reads.
    pub network: fn(&Network, &Mirrors) -> BTreeMap<String, String>,
    /// Whether a commit is for it, by the names in its root.
    pub detect: fn(&Source) -> Option<Claim>,
    pub recipe: fn(&Draft) -> Result<Recipe, Unmet>,
}

/// The archives of one program, as the policy may pin them.
#[derive(Debug)]
pub struct ArchiveNames {
    pub program: &'static str,
    pub is_one: fn(&str) -> bool,
    pub example: &'static str,
}

/// By which file a runtime takes a commit for its own, and how much that says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub by: &'static str,
    pub weight: Weight,
}

/// The weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A program at the root, which may be there for another purpose.
    Program,
    /// A description of the package, which may be there for its tools alone.
    Package,
    /// Exactly which dependencies are to be installed.
    Lockfile,
}

/// All that a recipe is made from.
pub struct Draft<'a> {
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub facts: &'a Facts,
    pub archives: &'a Archives,
    pub mirrors: &'a Mirrors,
    pub packages: &'a PackagesAllowed,
    pub layout: &'a Layout,
    /// Whether the repository says to its supervisor what is started: then no start line is looked for.
    pub is_started_by_supervisor: bool,
}

/// A version for plans without a machine: it satisfies any range.
pub const ANY_VERSION: &str = "any";

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
