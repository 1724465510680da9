//! The tree that `npm ci` makes: packages, links and texts, in the order in which they can be made.

use std::collections::BTreeSet;

use super::address::{self, Address};
use super::bins::{self};
use super::bundle::Bundle;
use super::bundles::{Bundles, bundles};
use super::entry::Entry;
use super::files::Files;
use super::graph::graph;
use super::integrity::Integrity;
use super::platform::Platform;
use super::selection::{Wanted, select};
use super::settings::Settings;
use super::{Result, for_npm, hidden, leftovers, local, lockfile, path, quoted};
use crate::secret::Secret;

pub use super::bins::Bin;

pub struct Inputs<'a> {
    pub lockfile: &'a str,
    pub files: &'a dyn Files,
    pub settings: &'a Settings,
    pub platform: &'a Platform,
    pub omits_development: bool,
}

/// A package of a registry. Paths are relative to the project.
#[derive(Clone, Debug)]
pub struct Package {
    pub path: String,
    /// The package's own name and version.
    pub id: String,
    pub address: Address,
    /// Whether the lockfile does not say where it is: npm would ask the registry, whose answer is this address nearly always.
    pub is_guess: bool,
    /// Of such a package, the files that npm makes executable while it unpacks them.
    pub programs: Vec<String>,
    /// The value of the header `Authorization`.
    pub credential: Option<Secret>,
    pub integrity: Integrity,
    /// Whether its `install` scripts are known to npm. One that has `binding.gyp` without them is built nevertheless.
    pub has_scripts: bool,
    /// What its archive has to have below `node_modules`.
    pub bundle: Bundle,
    /// Whether npm goes on without it if the registry does not have it.
    pub is_optional: bool,
}

/// A link to a directory of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub path: String,
    /// As the link has it.
    pub target: String,
}

#[derive(Debug)]
pub struct Tree {
    pub packages: Vec<Package>,
    pub links: Vec<Link>,
    pub bins: Vec<Bin>,
    /// Directories of the commit in which packages are placed.
    pub linked: Vec<String>,
    /// Directories that npm leaves although nothing is placed in them.
    pub leftovers: Vec<String>,
    /// The text of `node_modules/.package-lock.json`.
    pub hidden: String,
    /// Names of packages whose install scripts npm runs afterwards.
    pub builds: Vec<String>,
    /// Whether one of them is optional: `npm ci` removes it if its script fails, and `npm rebuild` does not.
    pub builds_may_fail: bool,
}

pub fn tree(inputs: &Inputs) -> Result<Tree> {
    let Inputs { settings, platform, omits_development, .. } = *inputs;
    let lockfile = lockfile::parse(inputs.lockfile)?;
    let local = local::entries(&lockfile, inputs.files, settings.runs_scripts)?;
    let graph = graph(&lockfile, &local, settings.with_peers)?;
    let wanted = Wanted { platform, omits_development, is_strict: settings.is_strict };
    let selection = select(&graph, &wanted)?;
    let Bundles { of: mut bundles, peers } = bundles(&graph, &selection.placed, platform)?;
    let of = |indices: &BTreeSet<usize>| -> Vec<&Entry> {
        indices.iter().filter_map(|index| graph.entries.get(*index).copied()).collect()
    };
    let entries = of(&selection.placed);
    let mut tree = Tree {
        packages: Vec::new(),
        links: Vec::new(),
        bins: bins::links(entries.iter().map(|entry| (*entry, programs(entry, &lockfile)))),
        linked: Vec::new(),
        leftovers: leftovers::directories(platform, &of(&selection.left_out))?,
        hidden: hidden::text(&lockfile, &entries, &peers)?,
        builds: Vec::new(),
        builds_may_fail: false,
    };
    for entry in entries {
        match entry.name() {
            None => tree.linked.push(entry.path.clone()),
            Some(_) if entry.is_link() => tree.links.push(link(entry)),
            // It comes with another one.
            Some(_) if entry.is("inBundle") => {}
            Some(name) => {
                if entry.is("hasInstallScript") && settings.runs_scripts {
                    tree.builds_may_fail |= entry.is("optional");
                    tree.builds.push(name.to_owned());
                }
                let bundle = bundles.remove(&entry.path).unwrap_or_default();
                tree.packages.push(Package { bundle, ..package(entry, settings)? });
            }
        }
    }
    tree.builds.sort();
    tree.builds.dedup();
    Ok(tree)
}

/// A link has the programs of its target.
fn programs(entry: &Entry, lockfile: &lockfile::Lockfile) -> Vec<(String, String)> {
    if !entry.is_link() {
        return bins::of(entry);
    }
    let target = entry.text("resolved").and_then(|target| lockfile.entries.get(target));
    target.map(bins::of).unwrap_or_default()
}

fn link(entry: &Entry) -> Link {
    let directory = entry.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let target = path::relative(directory, entry.text("resolved").unwrap_or_default());
    Link { path: entry.path.clone(), target }
}

fn package(entry: &Entry, settings: &Settings) -> Result<Package> {
    let id =
        format!("{}@{}", quoted(entry.package_name()), quoted(entry.text("version").unwrap_or_default()));
    let Some(integrity) = entry.text("integrity") else {
        return for_npm(format!("the lockfile has no integrity for {id}"));
    };
    let guess = address::usual(
        entry.package_name(),
        entry.text("version").unwrap_or_default(),
        &settings.registry,
        &settings.scopes,
    );
    let (address, is_guess) = match (entry.fields.get("resolved"), guess) {
        (Some(_), _) => {
            let resolved = entry.text("resolved").unwrap_or_default();
            (address::of(resolved, &settings.registry, &settings.replace)?, false)
        }
        (None, Some(address)) => (address, true),
        (None, None) => return for_npm(format!("the lockfile does not say where {id} is")),
    };
    let programs = bins::of(entry).into_iter().map(|(_, file)| file).filter(|_| is_guess).collect();
    Ok(Package {
        path: entry.path.clone(),
        id,
        is_guess,
        programs,
        credential: settings.credentials.header(&address, &settings.registry),
        integrity: Integrity::parse(integrity)?,
        address,
        has_scripts: entry.is("hasInstallScript"),
        bundle: Bundle::default(),
        is_optional: entry.is("optional"),
    })
}
