//! Which packages of the lockfile are placed: not those for development, if they are left out, nor optional ones that are
//! for other machines, with what only these require.

use std::collections::BTreeSet;

use super::graph::{Edge, Graph, Index};
use super::platform::Platform;
use super::{Result, for_npm, path, quoted};

/// Of this npm it is known that what left-out packages require does not keep a package; of 11.6.2, that it does.
const FORGETS_LEFT_OUT: (u64, u64, u64) = (11, 21, 2);

/// What decides which packages are placed.
pub struct Wanted<'a> {
    pub platform: &'a Platform,
    pub omits_development: bool,
    /// npm's `engine-strict`.
    pub is_strict: bool,
}

/// The packages and links of the lockfile, without the project.
pub struct Selection {
    pub placed: BTreeSet<Index>,
    pub left_out: BTreeSet<Index>,
}

pub fn select(graph: &Graph, wanted: &Wanted) -> Result<Selection> {
    let mut left_out: BTreeSet<Index> = BTreeSet::new();
    for (index, entry) in graph.entries.iter().enumerate() {
        if entry.is("extraneous") {
            return for_npm(format!("{} is extraneous in the lockfile", quoted(&entry.path)));
        }
        if entry.is("optional") {
            // npm does not look at those in an archive one by one; `bundles` does.
            if entry.is("inBundle") {
                continue;
            }
            if !(left_out.contains(&index) || wanted.platform.has(entry)? && wanted.platform.runs(entry)?) {
                let set = optional_set(graph, index, &left_out);
                // Older npms also count what packages that are left out require.
                let differs = || set != optional_set(graph, index, &BTreeSet::new());
                if !wanted.platform.has_npm_since(FORGETS_LEFT_OUT) && differs() {
                    return for_npm(format!(
                        "{} shares packages with others that are left out",
                        name(graph, index)
                    ));
                }
                left_out.extend(set);
            }
            continue;
        }
        if !wanted.platform.has(entry)? {
            return for_npm(format!("{} is not for this platform", name(graph, index)));
        }
        let counts = wanted.is_strict && !(wanted.omits_development && entry.is("dev"));
        if counts && !wanted.platform.runs(entry)? {
            return for_npm(format!("{} is not for this version of Node", name(graph, index)));
        }
    }
    if wanted.omits_development {
        let is_omitted = |index: &Index| graph.entries.get(*index).is_some_and(|entry| entry.is("dev"));
        left_out.extend((0..graph.entries.len()).filter(is_omitted));
    }
    let placed: BTreeSet<Index> =
        (1..graph.entries.len()).filter(|index| !left_out.contains(index)).collect();
    check(graph, &placed, &left_out)?;
    Ok(Selection { placed, left_out })
}

/// What npm removes together with an optional package that does not fit: what requires it, up to optional requirements,
/// and what only these require.
fn optional_set(graph: &Graph, first: Index, inert: &BTreeSet<Index>) -> BTreeSet<Index> {
    let edges = |all: &[Vec<usize>], of: Index| -> Vec<Edge> {
        let indices = all.get(of).into_iter().flatten();
        indices.filter_map(|edge| graph.edges.get(*edge).copied()).collect()
    };
    let mut boundary = BTreeSet::from([first]);
    let mut next = vec![first];
    while let Some(one) = next.pop() {
        let required = edges(&graph.into, one).into_iter().filter(|edge| !edge.kind.is_optional());
        next.extend(required.map(|edge| edge.from).filter(|from| boundary.insert(*from)));
    }
    let counts = |edge: &Edge| !boundary.contains(&edge.to) && !inert.contains(&edge.from);
    let mut set = boundary.clone();
    let mut next: Vec<Index> = boundary.iter().copied().collect();
    while let Some(one) = next.pop() {
        let counted = edges(&graph.out, one).into_iter().filter(counts);
        next.extend(counted.map(|edge| edge.to).filter(|to| set.insert(*to)));
    }
    // Without those that something else requires, too.
    loop {
        let is_needed = |index: &Index| {
            edges(&graph.into, *index).iter().any(|edge| !set.contains(&edge.from) && counts(edge))
        };
        let needed: Vec<Index> = set.iter().copied().filter(is_needed).collect();
        if needed.is_empty() {
            return set;
        }
        set.retain(|index| !needed.contains(index));
    }
}

/// A lockfile whose flags contradict each other is npm's, and so are the kinds of package that only npm unpacks.
fn check(graph: &Graph, placed: &BTreeSet<Index>, left_out: &BTreeSet<Index>) -> Result<()> {
    if left_out.contains(&0) {
        return for_npm("the project itself would be left out");
    }
    let paths: BTreeSet<&str> = left_out
        .iter()
        .filter_map(|index| graph.entries.get(*index))
        .map(|entry| entry.path.as_str())
        .collect();
    for index in left_out {
        let Some(entry) = graph.entries.get(*index) else { continue };
        if entry.is_link() || entry.name().is_none() {
            return for_npm(format!("the directory {} is left out", quoted(&entry.path)));
        }
    }
    for index in placed {
        let Some(entry) = graph.entries.get(*index) else { continue };
        if path::holder(&entry.path).is_some_and(|holder| paths.contains(holder)) {
            return for_npm(format!("{} is in a package that is left out", quoted(&entry.path)));
        }
        if entry.is_link() || entry.name().is_none() {
            continue;
        }
        if entry.is("hasShrinkwrap") {
            return for_npm(format!("{} has a lockfile of its own", name(graph, *index)));
        }
    }
    Ok(())
}

fn name(graph: &Graph, index: Index) -> String {
    graph.entries.get(index).map_or_else(String::new, |entry| match entry.path.as_str() {
        "" => "the project".to_owned(),
        _ => quoted(entry.package_name()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::npm::tests::{entry, is_for_npm, text_of, with};

    const A: &str = "node_modules/a";

    /// As of sharp 0.35: npm 10 installs what two left-out packages require.
    #[test]
    fn what_left_out_packages_share_is_decided_by_the_version_of_npm() {
        let a = with(entry("1.0.0"), json!({ "optionalDependencies": { "bsd": "1", "wasm": "1" } }));
        let optional = |more: Value| with(with(entry("1.0.0"), json!({ "optional": true })), more);
        let root = json!({ "dependencies": { "a": "1" } });
        let packages = json!({
            "": root,
            A: a,
            "node_modules/bsd": optional(json!({ "os": ["freebsd"], "dependencies": { "shared": "1" } })),
            "node_modules/shared": optional(json!({})),
            "node_modules/wasm": optional(json!({ "cpu": ["wasm32"], "dependencies": { "shared": "1" } })),
        });
        let lockfile = json!({ "lockfileVersion": 3, "packages": packages }).to_string();
        let tree = |npm: &str| text_of(npm, &lockfile, root.clone(), &[], false);
        for npm in ["10.9.3", "11.6.2"] {
            is_for_npm(tree(npm), "shares packages with others that are left out");
        }
        let paths: Vec<String> = tree("11.21.2").unwrap().packages.into_iter().map(|one| one.path).collect();
        assert_eq!(paths, [A]);
    }
}
