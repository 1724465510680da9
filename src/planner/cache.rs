//! What a plan has to do with the release cache: the step that takes a finished release from it, the one that puts one there, and
//! the key under which it is found; and the same for the packages of a lockfile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::draft::Draft;
use super::records::good;
use super::steps::Steps;
use super::{accounts, finished, fleet};
use crate::facts::{FleetMemory, S3Object};
use crate::fault::Phase;
use crate::plan::{Action, CacheObject, CachedPackages, CachedRelease, layout};
use crate::planner::runtime::{Kind, Recipe, Work};

/// Changed if the same inputs give other bytes, or the archive another format.
const FORMAT: u32 = 1;
pub const RESTORE: &str = "release-cache";

/// Adds the step that restores the release, before its checkout. Returns whether it did.
pub fn restore(steps: &mut Steps, draft: &Draft, rules: &[&str]) -> bool {
    let Some(cached) = cached(draft) else { return false };
    let why = "the same release was built before: it needs no package registry";
    steps
        .add(RESTORE, why, Action::RestoreRelease(cached))
        .after(&["remove-leftovers", "releases", "build-user", "user"])
        .after(rules)
        .within(Phase::Transfer);
    true
}

/// Adds the step that stores the release, once it was healthy.
pub fn store(steps: &mut Steps, draft: &Draft) {
    let wanted = draft.wanted;
    let was_good_here = good(wanted).is_some_and(|good| good.generation.release == draft.release());
    let cached = cached(draft).filter(|_| wanted.selection.cache.writes() && !was_good_here);
    let Some(cached) = cached.filter(|cached| cached.object.is_some()) else { return };
    let why = "other instances take the release from there in place of building it";
    steps
        .add("release-store", why, Action::StoreRelease(cached))
        .after(&["good"])
        .within(Phase::Transfer)
        .optional();
}

/// Adds the step that takes the packages of a lockfile from the cache, for an installation of bootagent's own installer: it knows
/// each package by its hash. Returns its id.
pub fn restore_packages(
    steps: &mut Steps,
    draft: &Draft,
    (part, work): (&Recipe, &Work),
    last: &str,
) -> Option<String> {
    let id = format!("{}-cache", work.name);
    let cached = packages(draft, part, work, &id)?;
    let why = "another commit with this lockfile was installed before: it needs no package registry";
    steps.add(&id, why, Action::RestorePackages(cached)).after(&[last, "cache"]).within(Phase::Transfer);
    Some(id)
}

/// Adds the step that stores them, beside the build: what it stores is known by its hashes, whether the service becomes healthy or
/// not.
pub fn store_packages(steps: &mut Steps, draft: &Draft, part: &Recipe, work: &Work) {
    let selection = draft.wanted.selection;
    let id = format!("{}-cache-store", work.name);
    let cached = packages(draft, part, work, &id).filter(|_| selection.cache.writes() && !selection.bakes);
    let Some(cached) = cached.filter(|cached| cached.object.is_some()) else { return };
    let why = "other instances take the packages from there in place of asking the registry";
    steps
        .add(&id, why, Action::StorePackages(cached))
        .after(&[&work.name])
        .within(Phase::Transfer)
        .optional();
}

/// What the installation of one directory may take from the cache, and put there.
fn packages(draft: &Draft, part: &Recipe, work: &Work, id: &str) -> Option<CachedPackages> {
    let Draft { wanted, layout, .. } = draft;
    wanted.facts.instance.as_ref()?;
    work.own_installer.as_ref()?;
    let cache = &wanted.selection.cache;
    let object = object(draft, FleetMemory::cache);
    if object.is_none() && cache.directory.is_none() {
        return None;
    }
    let tree = part.tree_of(&work.name, draft.release());
    Some(CachedPackages {
        recipe: packages_recipe(draft, part, work),
        // npm's own order.
        lockfiles: ["npm-shrinkwrap.json", "package-lock.json"].map(|name| tree.join(name)).into(),
        omits_development: work.argv.iter().any(|word| word == "--omit=dev"),
        cache: part.build_environment.get("npm_config_cache")?.into(),
        writable: layout.cache(),
        release: draft.release().to_owned(),
        record: finished::record(draft.release(), layout),
        user: layout.build_user(),
        unit: layout.transient(id),
        image: cache.directory.clone(),
        object,
    })
}

/// Which of the lockfile's packages are installed follows from the machine, the runtime and the command.
fn packages_recipe(draft: &Draft, part: &Recipe, work: &Work) -> String {
    let identity = (FORMAT, machine(draft), &part.runtime, &work.argv, &work.own_installer);
    hash(&identity)
}

/// An object of the cache, if the policy has one in S3.
fn object(draft: &Draft, at: impl FnOnce(&FleetMemory) -> S3Object) -> Option<CacheObject> {
    let wanted = draft.wanted;
    let memory = wanted.selection.fleet_memory()?;
    let secret = wanted.selection.cache.secret.clone()?;
    Some(CacheObject { at: at(&memory), secret, access: fleet::access(wanted.facts, wanted.selection) })
}

/// Whether the release may be one of the cache.
pub fn is_cached(draft: &Draft) -> bool {
    cached(draft).is_some()
}

/// The entry of the release; `None` if the policy has no cache, or there is nothing to build.
fn cached(draft: &Draft) -> Option<CachedRelease> {
    let Draft { wanted, recipe, layout, .. } = draft;
    // A service can change these: an entry would bring its changes to other instances.
    if !recipe.writable.is_empty() {
        return None;
    }
    let is_built = matches!(recipe.kind, Kind::Program | Kind::Site(_))
        && recipe.parts().any(|part| !part.work.is_empty());
    let cache = &wanted.selection.cache;
    wanted.facts.instance.as_ref().filter(|_| is_built && !wanted.source.is_manifest)?;
    let leave_out = left_out(draft);
    let key = key(draft, &leave_out);
    let object = object(draft, |memory| memory.release(&key));
    let image = cache.directory.as_ref().map(|directory| directory.join(format!("{key}.release")));
    if object.is_none() && image.is_none() {
        return None;
    }
    let release = draft.release();
    Some(CachedRelease {
        key,
        release: release.to_owned(),
        record: finished::record(release, layout),
        user: layout.build_user(),
        group: layout.user().to_owned(),
        unit: layout.transient("release-cache"),
        uses: finished::uses(draft),
        rebuilt: layout.rebuilt(),
        leave_out,
        image,
        object,
    })
}

/// Paths in the release that each instance makes by itself.
fn left_out(draft: &Draft) -> Vec<PathBuf> {
    let Draft { wanted, recipe, rendering, .. } = draft;
    let tree = recipe.tree(Path::new(""));
    let links = rendering.others().iter().filter_map(|(file, _)| file.link.map(|link| tree.join(link)));
    let persistent = accounts::kept(wanted.manifest, recipe).into_iter().map(|path| tree.join(path));
    let files = wanted.manifest.env.files.iter().map(|file| PathBuf::from(&file.path));
    // Made again by a step that looks for the secret's values in the pages.
    let site = recipe.site().map(|_| layout::site(Path::new("")));
    links.chain(persistent).chain(files).chain(site).collect()
}

/// All that determines the bytes of a release. Its path contains the commit, and many package managers write it into files.
#[derive(Serialize)]
struct Identity<'a> {
    format: u32,
    release: &'a Path,
    machine: [&'a str; 3],
    parts: Vec<Part<'a>>,
    packages: Vec<&'a String>,
    leave_out: &'a [PathBuf],
}

/// A directory that is built.
#[derive(Serialize)]
struct Part<'a> {
    /// With its version.
    runtime: &'a str,
    path: &'a [String],
    /// Name, command, and who carries out an `npm ci`, if that is bootagent.
    work: Vec<(&'a str, &'a [String], Option<&'a str>)>,
    environment: &'a BTreeMap<String, String>,
}

fn key(draft: &Draft, leave_out: &[PathBuf]) -> String {
    let recipe = &draft.recipe;
    let identity = Identity {
        format: FORMAT,
        release: draft.release(),
        machine: machine(draft),
        parts: recipe.parts().map(Part::of).collect(),
        packages: recipe.packages().collect(),
        leave_out,
    };
    hash(&identity)
}

/// Distribution, its version, and the architecture. They determine the C library.
fn machine<'a>(draft: &'a Draft) -> [&'a str; 3] {
    let machine = &draft.wanted.facts.machine;
    [machine.os.as_str(), machine.version.as_str(), machine.arch.as_str()]
}

fn hash(identity: &impl Serialize) -> String {
    let text = serde_json::to_vec(identity).unwrap_or_default();
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<'a> Part<'a> {
    fn of(recipe: &'a Recipe) -> Part<'a> {
        Part {
            runtime: &recipe.runtime,
            path: &recipe.path,
            work: recipe
                .work
                .iter()
                .map(|work| (work.name.as_str(), work.argv.as_slice(), work.own_installer.as_deref()))
                .collect(),
            environment: &recipe.build_environment,
        }
    }
}
