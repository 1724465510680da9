//! Chooses a Node: an installed one that fits the requested version, else one from an archive.

use nodejs_semver::Version;

use super::node_archive;
use super::node_version::{Node, Request};
use super::recipe::RecipeInputs;
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Installed};
use crate::planner::unmet::Unmet;

/// The newest installed Node that fits, else the newest archive, if the policy allows archives.
pub fn choose(request: &Request, inputs: &RecipeInputs) -> Result<Node, Unmet> {
    if let Some(node) = installed(request, inputs.facts)? {
        return Ok(Node { version: node.version.clone(), bin: node.bin().to_owned(), archive: None });
    }
    if node_archive::allowed(inputs.archives).allowed {
        return node_archive::choose(request, inputs);
    }
    Err(Error::new(Code::RuntimeMissing, request.doing(), found(request, inputs.facts)?).into())
}

/// An installed Node without npm beside it does not count: the build needs npm.
fn installed<'a>(request: &Request, facts: &'a Facts) -> Result<Option<&'a Installed>> {
    let mut fitting = Vec::new();
    for node in nodes(facts).iter().filter(|node| node.has("npm")) {
        if request.fits(&node.version)? {
            fitting.push(node);
        }
    }
    Ok(fitting.into_iter().max_by_key(|node| Version::parse(&node.version).ok()))
}

/// What the machine has, for the error that no installed Node fits.
fn found(request: &Request, facts: &Facts) -> Result<String> {
    for node in nodes(facts) {
        if request.fits(&node.version)? {
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
