//! Reads what a container mounts: volumes that docker keeps, files of the release, and memory. Nothing else of the machine
//! can be named. Pure.

use super::project::Mount;
use super::reader::{At, Reader, is_name};
use super::refused::unknown;
use crate::error::{Error, Result};
use crate::planner::runtime::container::is_path;
use crate::planner::runtime::yaml_tree::Node;

pub fn mounts(reader: &Reader, at: At) -> Result<Vec<Mount>> {
    let items = reader.items(at)?;
    let all = items.iter().map(|(path, node)| {
        let at = At { path, node };
        match node {
            Node::Map(_) => long(reader, at),
            _ => short(reader, at),
        }
    });
    all.collect()
}

/// The key `tmpfs`.
pub fn memory(reader: &Reader, at: At) -> Result<Vec<Mount>> {
    let texts = reader.texts(at)?;
    let all = texts.iter().map(|text| {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        match options.split(',').all(|option| option.is_empty() || is_option(option)) {
            true => {
                Ok(Mount::Memory { target: target_of(reader, at.path, target)?, options: options.to_owned() })
            }
            false => Err(reader.invalid(at.path, "has an option that is not known")),
        }
    });
    all.collect()
}

fn is_option(text: &str) -> bool {
    let is_value =
        |value: &str| (1..=12).contains(&value.len()) && value.chars().all(|c| c.is_ascii_alphanumeric());
    match text.split_once('=') {
        Some(("size" | "mode" | "uid" | "gid", value)) => is_value(value),
        Some(_) => false,
        None => matches!(text, "rw" | "exec" | "noexec" | "nosuid" | "nodev"),
    }
}

/// `SOURCE:TARGET`, perhaps with `:ro`. A target alone is a volume that ends with the container.
fn short(reader: &Reader, at: At) -> Result<Mount> {
    let text = reader.text(at)?;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => return Ok(Mount::Own { target: target_of(reader, at.path, target)? }),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(reader.invalid(at.path, "is not SOURCE:TARGET or SOURCE:TARGET:ro")),
    };
    let mut is_read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => is_read_only = true,
            // Labels of SELinux, and hints for other systems.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            _ => return Err(reader.invalid(at.path, "has an option that is not known")),
        }
    }
    let is_volume = is_name(source);
    one(reader, at, is_volume, (source, target), is_read_only)
}

fn long(reader: &Reader, at: At) -> Result<Mount> {
    let (mut kind, mut source, mut target, mut is_read_only) =
        ("volume".to_owned(), String::new(), String::new(), false);
    for (path, key, node) in reader.entries(at)? {
        let at = At { path: &path, node };
        match key {
            "type" => kind = reader.text(at)?,
            "source" => source = reader.text(at)?,
            "target" => target = reader.text(at)?,
            "read_only" => is_read_only = reader.flag(at)?,
            // A bind of what is not there is an error in any case.
            "bind" if is_creation(node) => {}
            "consistency" => {}
            _ => return Err(unknown(reader, key, at, &[])),
        }
    }
    Ok(match kind.as_str() {
        "tmpfs" if source.is_empty() => {
            Mount::Memory { target: target_of(reader, at.path, &target)?, options: String::new() }
        }
        "volume" if source.is_empty() => Mount::Own { target: target_of(reader, at.path, &target)? },
        "volume" if is_name(&source) => one(reader, at, true, (&source, &target), is_read_only)?,
        "bind" => one(reader, at, false, (&source, &target), is_read_only)?,
        _ => {
            return Err(reader.refused(
                at.path,
                "is refused: it is not a bind, volume or tmpfs with its name",
                "correct type and source",
            ));
        }
    })
}

fn is_creation(node: &Node) -> bool {
    matches!(node, Node::Map(entries) if entries.iter().all(|(key, _)| key == "create_host_path"))
}

fn one(
    reader: &Reader,
    at: At,
    is_volume: bool,
    (source, target): (&str, &str),
    is_read_only: bool,
) -> Result<Mount> {
    let target = target_of(reader, at.path, target)?;
    if is_volume {
        return Ok(Mount::Volume { name: source.to_owned(), target, is_read_only });
    }
    let path = reader
        .inside(source)
        .filter(|path| !path.is_empty())
        .ok_or_else(|| outside(reader, at.path, source))?;
    if !reader.has(&path) {
        let why = "names what the repository does not have";
        let remedy = "name a file or directory of the repository; for data, a volume: data:/path";
        return Err(reader.invalid(at.path, why).remedy(remedy));
    }
    if !is_read_only {
        reader.note(format!("{} is mounted read-only: a release does not change", at.path));
    }
    Ok(Mount::Release { path, target })
}

fn outside(reader: &Reader, path: &str, source: &str) -> Error {
    match source.contains("docker.sock") {
        true => reader.refused(path, "is refused: with docker's socket a container is root on the machine", "remove it"),
        false => reader.refused(
            path,
            "is refused: only files and directories below the repository's root can be mounted",
            "for data, use a volume: data:/path, with data below volumes of the file; for a file, add it to the repository",
        ),
    }
}

fn target_of(reader: &Reader, path: &str, target: &str) -> Result<String> {
    match is_path(target) {
        true => Ok(target.to_owned()),
        false => Err(reader.invalid(path, "has no absolute path of the container as its target")),
    }
}
