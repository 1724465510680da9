//! Reads the containers of a compose file, key by key. What is not known is refused. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Map;

use super::named_files::{self, Files};
use super::project::{Condition, Given, Member, Need};
use super::reader::{At, Reader, is_name, words};
use super::refused::{OF_A_SERVICE, WITHOUT_EFFECT, unknown};
use super::{health, image, limits, mounts, ports};
use crate::error::Result;
use crate::planner::runtime::yaml_tree::Node;

/// Seconds that a container has to end, if the file says nothing: as long as other containers of bootagent.
const GRACE: u64 = 25;
/// Seconds. Of a longer one, the whole service gets its share: see `order.rs`.
const LONGEST_GRACE: u64 = 86_400;
/// The name under which a compose file reads the service's variables.
const DOTENV: [&str; 2] = [".env", "./.env"];

pub fn member(reader: &Reader, at: At, files: &Files) -> Result<Member> {
    let mut member = Member {
        image: image::image(reader, at)?,
        environment: BTreeMap::new(),
        has_all_variables: false,
        words: BTreeMap::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        needs: BTreeMap::new(),
        networks: BTreeSet::new(),
        aliases: BTreeSet::new(),
        health: None,
        grace: GRACE,
        added_capabilities: BTreeSet::new(),
        dropped_capabilities: BTreeSet::new(),
        plain: Map::new(),
    };
    for (path, key, node) in reader.entries(at)? {
        one(reader, &mut member, key, At { path: &path, node }, files)?;
    }
    Ok(member)
}

fn one(reader: &Reader, member: &mut Member, key: &str, at: At, files: &Files) -> Result<()> {
    match key {
        "image" | "build" | "profiles" => {}
        "environment" => member.environment.extend(environment(reader, at)?),
        "env_file" => member.has_all_variables = env_file(reader, at)?,
        "command" | "entrypoint" => {
            member.words.extend(words(reader, at)?.map(|words| (key.to_owned(), words)));
        }
        "healthcheck" => health::health(reader, member, at)?,
        "ports" => member.ports.extend(ports::ports(reader, at)?),
        "volumes" => member.mounts.extend(mounts::mounts(reader, at)?),
        "configs" | "secrets" => member.mounts.extend(named_files::mounts(reader, at, (key, files))?),
        "tmpfs" => member.mounts.extend(mounts::memory(reader, at)?),
        "depends_on" => member.needs.extend(needs(reader, at, false)?),
        // As docker compose: a link needs no more than `depends_on` says already.
        "links" => {
            for (name, need) in needs(reader, at, true)? {
                member.needs.entry(name).or_insert(need);
            }
        }
        "networks" => networks(reader, member, at)?,
        "container_name" => _ = member.aliases.insert(name(reader, at)?),
        "stop_grace_period" => member.grace = health::seconds(reader, at, LONGEST_GRACE)?,
        _ if key.starts_with("x-") => {}
        _ if WITHOUT_EFFECT.contains(&key) => {}
        _ if is_harmless(key, at.node) => {}
        _ if limits::read(reader, member, key, at)? => {}
        _ => return Err(unknown(reader, key, at, OF_A_SERVICE)),
    }
    Ok(())
}

/// What a key says that asks for nothing: `privileged: false`.
fn is_harmless(key: &str, node: &Node) -> bool {
    matches!(node, Node::Null) || (key == "privileged" && *node == Node::Plain("false".to_owned()))
}

fn name(reader: &Reader, at: At) -> Result<String> {
    let text = reader.text(at)?;
    match is_name(&text) {
        true => Ok(text),
        false => Err(reader.invalid(at.path, "is not a name of letters, digits, - and _")),
    }
}

/// A mapping, or a list of `NAME=value` and `NAME`.
fn environment(reader: &Reader, at: At) -> Result<BTreeMap<String, Given>> {
    let mut all = BTreeMap::new();
    let is_list = matches!(at.node, Node::List(_));
    if !is_list {
        for (path, name, node) in reader.entries(at)? {
            let given = match node {
                Node::Null => Given::Same,
                node => Given::Text(reader.template(At { path: &path, node })?),
            };
            all.insert(variable(reader, &path, name)?, given);
        }
        return Ok(all);
    }
    for (path, node) in reader.items(at)? {
        let (Node::Plain(text) | Node::Text(text)) = node else {
            return Err(reader.invalid(&path, "is not NAME=value"));
        };
        let (name, given) = match text.split_once('=') {
            None => (text.as_str(), Given::Same),
            Some((name, value)) => {
                let node = Node::Text(value.to_owned());
                (name, Given::Text(reader.template(At { path: &path, node: &node })?))
            }
        };
        all.insert(variable(reader, &path, name)?, given);
    }
    Ok(all)
}

/// A name that a container can have. Unlike the service's own, it may have a dot or a hyphen.
fn variable(reader: &Reader, path: &str, name: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    match (1..=128).contains(&name.len()) && name.chars().all(fits) {
        true => Ok(name.to_owned()),
        false => Err(reader.invalid(path, "does not name a variable")),
    }
}

fn env_file(reader: &Reader, at: At) -> Result<bool> {
    let mut is_there = false;
    for (path, node) in reader.items(at)? {
        let file = match node {
            Node::Map(entries) => entries.iter().find(|(key, _)| key == "path").map(|(_, node)| node),
            node => Some(node),
        };
        let file = file.ok_or_else(|| reader.invalid(&path, "names no path"))?;
        let file = reader.text(At { path: &path, node: file })?;
        if !DOTENV.contains(&file.as_str()) {
            return Err(reader.refused(
                &path,
                "is refused: only .env can be named, which stands for the service's variables",
                "write the file's public values into environment, or into env.values of bootagent.toml",
            ));
        }
        is_there = true;
    }
    Ok(is_there)
}

fn needs(reader: &Reader, at: At, are_links: bool) -> Result<BTreeMap<String, Need>> {
    let mut all = BTreeMap::new();
    if matches!(at.node, Node::Map(_)) {
        for (path, name, node) in reader.entries(at)? {
            all.insert(name.to_owned(), need(reader, At { path: &path, node })?);
        }
        return Ok(all);
    }
    for text in reader.texts(at)? {
        let name = match text.split_once(':') {
            Some((name, alias)) if are_links && name == alias => name,
            Some(_) if are_links => {
                return Err(reader.refused(
                    at.path,
                    "is refused: it gives a container another name",
                    "use the name of the service",
                ));
            }
            _ => text.as_str(),
        };
        all.insert(name.to_owned(), Need { condition: Condition::Started, is_required: true });
    }
    Ok(all)
}

fn need(reader: &Reader, at: At) -> Result<Need> {
    let mut need = Need { condition: Condition::Started, is_required: true };
    for (path, key, node) in reader.entries(at)? {
        let at = At { path: &path, node };
        match key {
            "condition" => {
                let all = [Condition::Started, Condition::Healthy, Condition::Completed];
                let text = reader.text(at)?;
                let found = all.into_iter().find(|condition| condition.name() == text);
                need.condition = found.ok_or_else(|| reader.invalid(at.path, "is not known"))?;
            }
            "required" => need.is_required = reader.flag(at)?,
            // All containers are started again when one ends.
            "restart" => _ = reader.flag(at)?,
            _ => return Err(reader.invalid(at.path, "is not known")),
        }
    }
    Ok(need)
}

fn networks(reader: &Reader, member: &mut Member, at: At) -> Result<()> {
    if !matches!(at.node, Node::Map(_)) {
        member.networks.extend(reader.texts(at)?);
        return Ok(());
    }
    for (path, network, node) in reader.entries(at)? {
        member.networks.insert(network.to_owned());
        for (path, key, node) in reader.entries(At { path: &path, node })? {
            match key {
                "aliases" => {
                    for (path, node) in reader.items(At { path: &path, node })? {
                        member.aliases.insert(name(reader, At { path: &path, node })?);
                    }
                }
                "priority" => {}
                _ => return Err(unknown(reader, key, At { path: &path, node }, &[])),
            }
        }
    }
    Ok(())
}
