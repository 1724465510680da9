//! Chooses a Node: an installed one that fits the requested version, else one from an archive.

use nodejs_semver::Version;

use super::archive;
use super::package::Package;
use super::version::{Node, Request};
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Installed, Source};
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::unmet::Unmet;

/// The request for a version that counts, and those that it overrides.
fn requests(inputs: &RecipeInputs, package: &Package) -> Result<(Request, Vec<Request>)> {
    let requests = [
        (inputs.manifest.said("node", "version").map(str::to_owned), "node.version in bootagent.toml"),
        (line(inputs.source, ".nvmrc")?, ".nvmrc"),
        (line(inputs.source, ".node-version")?, ".node-version"),
        (package.volta.get("node").cloned(), "volta in package.json"),
        (package.engines.get("node").cloned(), "engines in package.json"),
    ];
    let mut requests =
        requests.into_iter().filter_map(|(range, by)| range.map(|range| Request { range, by }));
    Ok((requests.next().unwrap_or(Request::any()), requests.collect()))
}

/// The first line of a version file. One that cannot be read is an error: without it another version would be taken.
fn line(source: &Source, path: &'static str) -> Result<Option<String>> {
    let text = source.read(path).map_err(|why| {
        Error::new(Code::ManifestInvalid, format!("reading {path}"), why.to_owned())
            .remedy(format!("write {path} as a plain text file in UTF-8, with a version like 22"))
    })?;
    let lines = text.into_iter().flat_map(str::lines).map(str::trim);
    Ok(lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned))
}

/// The chosen Node, and the request that it fits. Adds a note for each other request that it does not fit.
pub fn chosen(
    inputs: &RecipeInputs,
    package: &Package,
    notes: &mut Vec<String>,
) -> Result<(Node, String), Unmet> {
    let (first, others) = requests(inputs, package)?;
    let node = choose(&first, inputs)?;
    for other in others.iter().filter(|other| !other.fits(&node.version).unwrap_or(false)) {
        notes.push(format!(
            "Node {} is used for {} ({}), although {} requests {}",
            node.version,
            first.shown(),
            first.by,
            other.by,
            other.shown()
        ));
    }
    Ok((node, format!("{}: {}", first.by, first.shown())))
}

/// The newest installed Node that fits, else the newest archive, if the policy allows archives.
fn choose(request: &Request, inputs: &RecipeInputs) -> Result<Node, Unmet> {
    if let Some(node) = installed(request, inputs.facts)? {
        return Ok(Node { version: node.version.clone(), bin: node.bin().to_owned(), archive: None });
    }
    if archive::allowed(inputs.archives).allowed {
        return archive::choose(request, inputs);
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
