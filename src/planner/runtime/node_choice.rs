//! Which Node: an installed one that the wish allows, else an archive's.

use nodejs_semver::Version;

use super::node_archive;
use super::node_version::{Node, Wish};
use super::recipe::Draft;
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Installed};
use crate::planner::unmet::Unmet;

/// The newest installed Node that the wish allows, else the newest archive.
pub fn choose(wish: &Wish, draft: &Draft) -> Result<Node, Unmet> {
    if let Some(node) = installed(wish, draft.facts)? {
        return Ok(Node { version: node.version.clone(), bin: node.bin().to_owned(), archive: None });
    }
    if node_archive::allowed(draft.archives).allowed {
        return node_archive::choose(wish, draft);
    }
    Err(Error::new(Code::RuntimeMissing, wish.doing(), found(wish, draft.facts)?).into())
}

/// Without npm it is of no use: nothing could be installed with it.
fn installed<'a>(wish: &Wish, facts: &'a Facts) -> Result<Option<&'a Installed>> {
    let mut fitting = Vec::new();
    for node in nodes(facts).iter().filter(|node| node.has("npm")) {
        if wish.is_granted_by(&node.version)? {
            fitting.push(node);
        }
    }
    Ok(fitting.into_iter().max_by_key(|node| Version::parse(&node.version).ok()))
}

fn found(wish: &Wish, facts: &Facts) -> Result<String> {
    for node in nodes(facts) {
        if wish.is_granted_by(&node.version)? {
            return Ok(format!("{} has no npm beside it", node.bin().display()));
        }
    }
    if nodes(facts).is_empty() {
        return Ok("the machine has no Node".to_owned());
    }
    let versions: Vec<&str> = nodes(facts).iter().map(|node| node.version.as_str()).collect();
    Ok(format!("the machine has {} only", versions.join(" and ")))
}

fn nodes(facts: &Facts) -> &[Installed] {
    facts.programs.get("node").map(Vec::as_slice).unwrap_or_default()
}
