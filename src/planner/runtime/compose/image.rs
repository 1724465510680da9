//! Reads which image a container has: of a registry, or built from the commit. Pure.

use std::collections::BTreeMap;

use super::project::{Build, Image, Member};
use super::reader::{At, Reader};
use super::refused::unknown;
use crate::error::Result;
use crate::facts::Evidence;
use crate::planner::runtime::container::{self, DOCKERFILE};
use crate::planner::runtime::dockerfile::needs_buildkit;
use crate::planner::runtime::yaml_tree::Node;
use crate::planner::unmet::{Unmet, require_texts};

/// Of a service with both, `image` is only the name of what is built.
pub fn image(reader: &Reader, at: At) -> Result<Image> {
    let entries = reader.entries(at)?;
    let of = |name: &str| entries.iter().find(|(_, key, node)| *key == name && *node != &Node::Null);
    if let Some((path, _, node)) = of("build") {
        return Ok(Image::Built(build(reader, At { path, node })?));
    }
    let Some((path, _, node)) = of("image") else {
        return Err(reader.invalid(at.path, "has neither image nor build"));
    };
    let reference = reader.text(At { path, node })?;
    match container::is_image(&reference) {
        true => Ok(Image::Named(reference)),
        false => Err(reader
            .invalid(path, "is not an image with a tag or a digest")
            .remedy("add the tag, like postgres:16.4: without one, each pull may bring another image")),
    }
}

fn build(reader: &Reader, at: At) -> Result<Build> {
    let (mut context, mut dockerfile) = (None, DOCKERFILE.to_owned());
    let (mut target, mut arguments) = (None, BTreeMap::new());
    let entries = match at.node {
        Node::Map(_) => reader.entries(at)?,
        node => vec![(at.path.to_owned(), "context", node)],
    };
    for (path, key, node) in &entries {
        let at = At { path, node };
        match *key {
            "context" => context = Some(directory(reader, at)?),
            "dockerfile" => dockerfile = reader.text(at)?,
            "target" => target = Some(stage(reader, at)?),
            "args" => arguments = self::arguments(reader, at)?,
            _ => return Err(unknown(reader, key, at, OF_A_BUILD)),
        }
    }
    let context = context
        .map_or_else(|| directory(reader, At { path: at.path, node: &Node::Plain(".".to_owned()) }), Ok)?;
    let dockerfile = dockerfile.strip_prefix("./").unwrap_or(&dockerfile).to_owned();
    if !container::is_dockerfile(&dockerfile) {
        let remedy = "name a Dockerfile in the directory of the context";
        return Err(reader.refused(at.path, "is refused: its dockerfile is outside of the context", remedy));
    }
    Ok(Build { context, dockerfile, target, arguments, needs_buildkit: false })
}

/// Asks for the texts of all Dockerfiles at once: each question is a fetch.
pub fn require_dockerfiles(reader: &Reader, members: &mut BTreeMap<String, Member>) -> Result<(), Unmet> {
    let builds = |member: &Member| match &member.image {
        Image::Built(build) => Some(build.path()),
        Image::Named(_) => None,
    };
    let paths: Vec<String> = members.values().filter_map(builds).collect();
    require_texts(reader.source, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    for (name, member) in members {
        let Image::Built(build) = &mut member.image else { continue };
        let path = build.path();
        if reader.source.evidence_of(&path) == Evidence::Absent {
            let why = format!("needs {path}, and the repository has none");
            return Err(reader.invalid(&format!("services.{name}.build"), &why).into());
        }
        build.needs_buildkit = needs_buildkit(reader.source.text(&path).unwrap_or_default());
    }
    Ok(())
}

const OF_A_BUILD: &[(&str, &str, &str)] = &[
    ("privileged", "gives the build the whole machine", "remove it"),
    ("entitlements", "gives the build more of the machine", "remove it"),
    ("network", "chooses the network of the build", "remove it"),
    ("ssh", "gives the build keys of the machine", "fetch without a key, or push an image to a registry"),
    ("secrets", "gives the build files of the machine", "build without them, or push an image to a registry"),
    ("additional_contexts", "takes files from elsewhere", "copy them into the repository"),
    ("dockerfile_inline", "is a Dockerfile within the file", "write it into a Dockerfile"),
];

fn directory(reader: &Reader, at: At) -> Result<String> {
    let text = reader.text(at)?;
    let remedy = "name a directory of the repository";
    let path = reader.inside(&text).ok_or_else(|| {
        reader.refused(at.path, "is refused: the context of a build is a directory of the repository", remedy)
    })?;
    match reader.has(&path) {
        true => Ok(path),
        false => Err(reader.invalid(at.path, "names what the repository does not have").remedy(remedy)),
    }
}

fn stage(reader: &Reader, at: At) -> Result<String> {
    let text = reader.text(at)?;
    match container::is_target(&text) {
        true => Ok(text),
        false => Err(reader.invalid(at.path, "is not the name of a stage")),
    }
}

/// Public values only: an image keeps them, and they are in the command of the build.
fn arguments(reader: &Reader, at: At) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut add = |path: &str, name: &str, node: Option<&Node>| -> Result<()> {
        let own = Node::Text(format!("${{{name}}}"));
        let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits {
            return Err(reader.invalid(path, "does not name an argument"));
        }
        let value = reader.text(At { path, node: node.unwrap_or(&own) })?;
        all.insert(name.to_owned(), value);
        Ok(())
    };
    if let Node::List(_) = at.node {
        for (path, node) in reader.items(at)? {
            let (Node::Plain(text) | Node::Text(text)) = node else {
                return Err(reader.invalid(&path, "is not NAME=value"));
            };
            match text.split_once('=') {
                None => add(&path, text, None)?,
                Some((name, value)) => add(&path, name, Some(&Node::Text(value.to_owned())))?,
            }
        }
        return Ok(all);
    }
    for (path, name, node) in reader.entries(at)? {
        add(&path, name, Some(node).filter(|node| **node != Node::Null))?;
    }
    Ok(all)
}
