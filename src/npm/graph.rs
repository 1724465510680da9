//! What each package requires, and where it finds it. A requirement that the lockfile does not meet is npm's: it says that
//! the lockfile is out of step with package.json.

use std::collections::{BTreeMap, HashMap};

use super::entry::{Entry, Kind};
use super::lockfile::Lockfile;
use super::{Result, for_npm, path, quoted, specifier};

/// A package by its index in `Graph::entries`.
pub type Index = usize;

#[derive(Clone, Copy, Debug)]
pub struct Edge {
    pub from: Index,
    pub to: Index,
    pub kind: Kind,
}

pub struct Graph<'a> {
    /// The project first, then the others by path.
    pub entries: Vec<&'a Entry>,
    pub edges: Vec<Edge>,
    /// Of each package, its edges by their index: those from it and those to it.
    pub out: Vec<Vec<usize>>,
    pub into: Vec<Vec<usize>>,
}

/// `local` has the package.json of the project and of directories that links lead to.
pub fn graph<'a>(
    lockfile: &'a Lockfile,
    local: &'a BTreeMap<String, Entry>,
    with_peers: bool,
) -> Result<Graph<'a>> {
    let of_path = |path: &'a String, entry: &'a Entry| local.get(path).unwrap_or(entry);
    let root = local.get("").unwrap_or(&lockfile.root);
    let rest = lockfile.entries.iter().map(|(path, entry)| of_path(path, entry));
    let entries: Vec<&Entry> = std::iter::once(root).chain(rest).collect();
    let by_path: HashMap<&str, Index> =
        entries.iter().enumerate().map(|(index, entry)| (entry.path.as_str(), index)).collect();
    let mut edges = Vec::new();
    for (from, entry) in entries.iter().enumerate() {
        if entry.is_link() {
            let target = entry.text("resolved").and_then(|target| by_path.get(target));
            let Some(to) = target else {
                return for_npm(format!(
                    "the lockfile lacks the directory of the link {}",
                    quoted(&entry.path)
                ));
            };
            edges.push(Edge { from, to: *to, kind: Kind::Required });
            continue;
        }
        let is_top = entry.name().is_none();
        for dependency in entry.dependencies(is_top, with_peers)? {
            let mut places = specifier::places(&entry.path, &dependency.name);
            let found = places.find_map(|place| by_path.get(place.as_str()).copied());
            let Some(to) = found else {
                if dependency.kind == Kind::OptionalPeer {
                    continue;
                }
                return for_npm(format!(
                    "the lockfile lacks {}, which {} requires",
                    quoted(&dependency.name),
                    who(entry)
                ));
            };
            let Some(target) = entries.get(to) else { continue };
            // npm places it anew, beside the package.
            if dependency.kind.is_peer() && !is_top && path::holder(&target.path) == Some(&entry.path) {
                return for_npm(format!("{} has its peer {} inside", who(entry), quoted(&dependency.name)));
            }
            if !specifier::fits(&dependency.specifier, &entry.path, &versioned(target, &entries, &by_path))? {
                return for_npm(format!(
                    "{} requires {} {}, and the lockfile has another one",
                    who(entry),
                    quoted(&dependency.name),
                    quoted(&dependency.specifier)
                ));
            }
            edges.push(Edge { from, to, kind: dependency.kind });
        }
    }
    let mut graph =
        Graph { out: vec![Vec::new(); entries.len()], into: vec![Vec::new(); entries.len()], entries, edges };
    for (index, edge) in graph.edges.iter().enumerate() {
        if let Some(out) = graph.out.get_mut(edge.from) {
            out.push(index);
        }
        if let Some(into) = graph.into.get_mut(edge.to) {
            into.push(index);
        }
    }
    Ok(graph)
}

/// A link with the version of its target.
fn versioned(entry: &Entry, entries: &[&Entry], by_path: &HashMap<&str, Index>) -> Entry {
    let mut fields = serde_json::Map::new();
    let target = entry.text("resolved").filter(|_| entry.is_link()).and_then(|path| by_path.get(path));
    let of = target.and_then(|index| entries.get(*index)).copied().unwrap_or(entry);
    for (key, from) in [("version", of), ("resolved", entry), ("link", entry)] {
        if let Some(value) = from.fields.get(key) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    Entry { path: entry.path.clone(), fields }
}

fn who(entry: &Entry) -> String {
    match entry.path.as_str() {
        "" => "package.json".to_owned(),
        path => quoted(path),
    }
}
