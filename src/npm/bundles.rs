//! Packages that come inside another one's archive, below its `node_modules` (`bundleDependencies`): of which lockfiles npm's
//! tree is certain. The lockfile has to list all of them, and each has to be required by what is in the archive.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nodejs_semver::Version;

use super::bundle::{Bundle, Bundled};
use super::entry::{Entry, Kind};
use super::graph::{Edge, Graph, Index};
use super::platform::Platform;
use super::{Result, for_npm, path, quoted};

/// The bundles of a tree.
#[derive(Debug, Default)]
pub struct Bundles {
    /// By the path of the package whose archive it is.
    pub of: BTreeMap<String, Bundle>,
    /// Paths of those that the hidden lockfile calls peers.
    pub peers: BTreeSet<String>,
}

/// What the hidden lockfile says of a bundled package that a bundled one requires as its peer.
#[derive(Clone, Copy)]
enum Peers {
    Unmarked,
    Marked,
}

pub fn bundles(graph: &Graph, placed: &BTreeSet<Index>, platform: &Platform) -> Result<Bundles> {
    let mut all = Bundles::default();
    for (bringer, inside) in groups(graph)? {
        let is_placed = placed.contains(&bringer) || bringer == 0;
        let Some(entry) = graph.entries.get(bringer).filter(|_| is_placed) else { continue };
        let group = Group { graph, bringer: entry, index: bringer, inside: &inside };
        group.check(placed, platform)?;
        group.check_edges()?;
        all.peers.extend(group.peers(peers(platform))?);
        all.of.insert(entry.path.clone(), group.bundle());
    }
    Ok(all)
}

/// Of each package that brings others along: these.
fn groups(graph: &Graph) -> Result<BTreeMap<Index, BTreeSet<Index>>> {
    let by_path: HashMap<&str, Index> =
        graph.entries.iter().enumerate().map(|(index, entry)| (entry.path.as_str(), index)).collect();
    let mut all: BTreeMap<Index, BTreeSet<Index>> = BTreeMap::new();
    for (index, entry) in graph.entries.iter().enumerate().filter(|(_, entry)| entry.name().is_some()) {
        let above = |path: &str| graph.entries.get(*by_path.get(path::holder(path)?)?).copied();
        let is_inside = |entry: &Entry| entry.is("inBundle");
        if !is_inside(entry) {
            if entry.bundles() {
                all.entry(index).or_default();
            }
            let bringer = above(&entry.path).filter(|above| is_inside(above) || above.bundles());
            if let Some(bringer) = bringer {
                return brings(bringer, format!("{} is not one of them", quoted(&entry.path)));
            }
            continue;
        }
        let outermost =
            std::iter::successors(Some(*entry), |entry| above(&entry.path)).find(|entry| !is_inside(entry));
        if let Some(bringer) = outermost.and_then(|entry| by_path.get(entry.path.as_str())) {
            all.entry(*bringer).or_default().insert(index);
        }
    }
    Ok(all)
}

/// A package with those in its archive.
struct Group<'a> {
    graph: &'a Graph<'a>,
    bringer: &'a Entry,
    index: Index,
    inside: &'a BTreeSet<Index>,
}

impl Group<'_> {
    fn check(&self, placed: &BTreeSet<Index>, platform: &Platform) -> Result<()> {
        let bringer = self.bringer;
        if bringer.name().is_none() || bringer.is_link() {
            return brings(bringer, "is not of a registry");
        }
        for (key, what) in [("hasInstallScript", "has install scripts"), ("peer", "is a peer")] {
            if bringer.is(key) {
                return brings(bringer, what);
            }
        }
        let names = bringer.list("bundleDependencies")?;
        let paths: BTreeSet<&str> = self.entries().map(|entry| entry.path.as_str()).collect();
        if names.iter().collect::<BTreeSet<_>>().len() != names.len() || !bringer.bundles() {
            return bringer.unusual("bundleDependencies");
        }
        if let Some(name) =
            names.iter().find(|name| !paths.contains(path::child(&bringer.path, name).as_str()))
        {
            return brings(bringer, format!("the lockfile does not list {} in it", quoted(name)));
        }
        if self.inside.iter().any(|index| !placed.contains(index)) {
            return brings(bringer, "not all of them are for this installation");
        }
        self.entries().try_for_each(|entry| self.check_inside(entry, platform))
    }

    /// A bundled package has nothing that npm could make more of than the lockfile says.
    fn check_inside(&self, entry: &Entry, platform: &Platform) -> Result<()> {
        let unusual =
            ["name", "resolved", "integrity", "link", "hasInstallScript", "libc", "bundledDependencies"];
        let unusual = unusual.iter().find(|key| entry.fields.contains_key(**key));
        if let Some(key) = unusual.or(Some(&"bundleDependencies").filter(|_| entry.bundles())) {
            return brings(self.bringer, format!("{} has {key} in the lockfile", quoted(&entry.path)));
        }
        if !platform.has(entry)? || entry.is("optional") && !platform.runs(entry)? {
            return brings(self.bringer, format!("{} is not for this machine", quoted(&entry.path)));
        }
        Ok(())
    }

    /// What is required there is there, and all of it is required.
    fn check_edges(&self) -> Result<()> {
        let mut needed = BTreeSet::from([self.index]);
        let mut next = vec![self.index];
        while let Some(one) = next.pop() {
            for edge in self.edges(one) {
                if !self.inside.contains(&edge.to) {
                    let path = self.graph.entries.get(edge.to).map(|entry| entry.path.as_str());
                    let which = quoted(path.unwrap_or_default());
                    return brings(self.bringer, format!("they require {which}, which is elsewhere"));
                }
                if edge.kind == Kind::Required && needed.insert(edge.to) {
                    next.push(edge.to);
                }
            }
        }
        self.inside.iter().try_for_each(|index| self.check_flags(*index, &needed))
    }

    /// A package is needed as much as the one that brings it along, or is an optional one of what is needed.
    fn check_flags(&self, index: Index, needed: &BTreeSet<Index>) -> Result<()> {
        let Some(entry) = self.graph.entries.get(index) else { return Ok(()) };
        let is_needed = needed.contains(&index);
        let is_extra = || {
            let into = self.graph.into.get(index).into_iter().flatten();
            let mut into = into.filter_map(|edge| self.graph.edges.get(*edge));
            into.any(|edge| edge.kind == Kind::Optional && needed.contains(&edge.from))
                && self.edges(index).all(|edge| needed.contains(&edge.to))
        };
        if !is_needed && !is_extra() {
            return brings(self.bringer, format!("does not require {} for certain", quoted(&entry.path)));
        }
        let of = |kind: &str| self.bringer.is(kind);
        let expected = [
            ("dev", of("dev")),
            ("optional", of("optional") || !is_needed),
            ("devOptional", of("devOptional") && is_needed),
        ];
        match expected.iter().all(|(kind, is_so)| entry.is(kind) == *is_so) {
            true => Ok(()),
            false => brings(self.bringer, format!("{} has other flags in the lockfile", quoted(&entry.path))),
        }
    }

    fn peers(&self, peers: Option<Peers>) -> Result<Vec<String>> {
        let edges =
            || self.inside.iter().flat_map(|index| self.edges(*index)).filter(|edge| edge.kind.is_peer());
        match peers {
            Some(Peers::Unmarked) => return Ok(Vec::new()),
            // Those depend on the order in which npm looks at them.
            Some(Peers::Marked) if !edges().any(|edge| edge.kind.is_optional()) => {}
            _ => return brings(self.bringer, "this version of npm does so in a way of its own"),
        }
        Ok(edges().filter_map(|edge| Some(self.graph.entries.get(edge.to)?.path.clone())).collect())
    }

    fn bundle(&self) -> Bundle {
        let inside = |path: &str| path.get(self.bringer.path.len() + 1..).unwrap_or_default().to_owned();
        Bundle::new(
            self.entries().map(|entry| Bundled::new(inside(&entry.path), entry.fields.clone())).collect(),
        )
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.inside.iter().filter_map(|index| self.graph.entries.get(*index).copied())
    }

    fn edges(&self, from: Index) -> impl Iterator<Item = Edge> {
        let indices = self.graph.out.get(from).into_iter().flatten();
        indices.filter_map(|edge| self.graph.edges.get(*edge).copied())
    }
}

/// By what npm's releases write; `None` of those that were not compared.
fn peers(platform: &Platform) -> Option<Peers> {
    let npm = Version::parse(platform.npm.as_deref()?).ok()?;
    match (npm.major(), npm.minor(), npm.patch()) {
        (10, ..) | (11, 6, 3..) | (11, 7.., _) => Some(Peers::Unmarked),
        (11, 6, 1 | 2) => Some(Peers::Marked),
        _ => None,
    }
}

fn brings<T>(bringer: &Entry, why: impl AsRef<str>) -> Result<T> {
    let which =
        if bringer.path.is_empty() { "the project".to_owned() } else { quoted(bringer.package_name()) };
    for_npm(format!("{which} brings other packages along, and {}", why.as_ref()))
}

#[cfg(test)]
#[path = "bundles_tests.rs"]
mod tests;
