//! What a repository is written in, and how such a thing is installed and started.
//!
//! A new runtime is one new file, its line in `recipe` below, and a folder under `tests/plans`.

mod command;
mod node;
mod node_archive;
mod node_version;
mod shell;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Source};
use crate::fault::Slice;
use crate::observe::NodeArchives;
use crate::observe::manifest::{Manifest, Runtime};
use crate::plan::Archive;
use crate::plan::layout::{self, Layout};
use crate::planner::env::Dialect;

pub use command::Start;

/// How this commit is installed and started on this machine.
#[derive(Debug)]
pub struct Recipe {
    pub runtime: String,
    /// The line of versions that run what was installed for any of them: `node 22`.
    pub runtime_line: String,
    /// Whose wish it grants.
    pub chosen_by: String,
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
    /// Variables that the runtime expects unless somebody says otherwise.
    pub defaults: BTreeMap<String, String>,
    /// Where programs of the commit's own packages stand, relative to the release.
    pub programs: Vec<String>,
    /// Where the runtime's programs stand.
    pub path: Vec<String>,
    /// What must be unpacked before there is such a runtime.
    pub archive: Option<Archive>,
    /// What its package manager keeps from one build to the next.
    pub caches: Vec<PathBuf>,
    /// A package of the service's that stores what it is sent as files.
    pub stores_uploads: Option<&'static str>,
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub struct Work {
    pub name: String,
    pub why: String,
    pub argv: Vec<String>,
    /// What of it changes the release: a line of the manifest, or npm's command without flags that only make it quieter.
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
        let programs = self.path.iter().map(Path::new).filter(|path| path.starts_with(layout::RUNTIMES));
        programs.filter_map(Path::parent).map(Path::to_path_buf).collect()
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

/// A version for whoever plans without a machine: it satisfies any range.
pub const ANY_VERSION: &str = "any";

/// Every runtime's evidence: the files whose text a fetch brings along.
pub fn evidence() -> Vec<String> {
    node::EVIDENCE.iter().map(|path| (*path).to_owned()).collect()
}

/// The manifest's runtime, else the one that recognises the repository.
pub fn recipe(
    source: &Source,
    manifest: &Manifest,
    facts: &Facts,
    archives: &NodeArchives,
    layout: &Layout,
) -> Result<Recipe> {
    match manifest.runtime.or_else(|| detect(source)) {
        Some(Runtime::Node) => node::recipe(source, manifest, facts, archives, layout),
        None => Err(Error::new(
            Code::RuntimeUnknown,
            format!("looking for a runtime in {}", source.named()),
            "there is no package.json, and no bootagent.toml that names a runtime",
        )),
    }
}

/// Whether the index of Node's releases must be asked: no Node that is here grants what is asked for.
pub fn needs_node_index(
    source: &Source,
    manifest: &Manifest,
    facts: &Facts,
    archives: &NodeArchives,
) -> Result<bool> {
    match manifest.runtime.or_else(|| detect(source)) {
        Some(Runtime::Node) => node::needs_index(source, manifest, facts, archives),
        None => Ok(false),
    }
}

fn detect(source: &Source) -> Option<Runtime> {
    node::detect(source).then_some(Runtime::Node)
}
