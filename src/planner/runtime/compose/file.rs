//! Reads a compose file: which containers there are, with their networks and volumes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::members::member;
use super::named_files::{self, Files};
use super::project::{Member, Mount, Network};
use super::reader::{At, Reader, is_name};
use super::refused::OF_THE_FILE;
use super::refused::unknown;
use super::{image, order};
use crate::error::{Error, Result};
use crate::planner::runtime::yaml_tree::{self, Node};
use crate::planner::unmet::Unmet;
use crate::secret::excerpt;

const MOST_MEMBERS: usize = 16;
const MOST_NETWORKS: usize = 8;
/// The network of containers that name none.
const DEFAULT: &str = "default";

/// What is read of the file.
pub struct Read {
    pub members: BTreeMap<String, Member>,
    /// Of these, those that end before the others start.
    pub once: Vec<String>,
    pub networks: BTreeMap<String, Network>,
    pub volumes: BTreeSet<String>,
}

pub fn read(reader: &Reader, text: &str, profiles: &[&str]) -> Result<Read, Unmet> {
    let tree = yaml_tree::read(text)
        .map_err(|why| reader.invalid(reader.file, &format!("is not understood: {why}")))?;
    let (mut services, mut networks, mut declared) = (Node::Null, BTreeMap::new(), BTreeSet::new());
    let mut files = Files::new();
    for (path, key, node) in reader.entries(At { path: "", node: &tree })? {
        let at = At { path: &path, node };
        match key {
            "services" => services = node.clone(),
            "networks" => networks = self::networks(reader, at)?,
            "configs" | "secrets" => files.extend(named_files::read(reader, key, at)?),
            "volumes" => declared = volumes(reader, at)?,
            "version" | "name" => {}
            _ if key.starts_with("x-") || *node == Node::Null => {}
            _ => return Err(unknown(reader, key, at, OF_THE_FILE).into()),
        }
    }
    let mut members = BTreeMap::new();
    for (path, name, node) in reader.entries(At { path: "services", node: &services })? {
        let at = At { path: &path, node };
        if !is_name(name) {
            return Err(reader.invalid(&path, "is not a name of letters, digits, - and _").into());
        }
        if !is_chosen(reader, at, profiles)? {
            reader.note(format!("{name} is not started: its profiles are not among compose.profiles"));
            continue;
        }
        members.insert(name.to_owned(), member(reader, at, &files)?);
    }
    if members.is_empty() || members.len() > MOST_MEMBERS {
        let why = format!("has {} containers to start; expected 1 to {MOST_MEMBERS}", members.len());
        return Err(reader.invalid("services", &why).into());
    }
    for member in members.values_mut().filter(|member| member.networks.is_empty()) {
        member.networks.insert(DEFAULT.to_owned());
    }
    let used: BTreeSet<&String> = members.values().flat_map(|member| &member.networks).collect();
    if used.iter().any(|name| *name == DEFAULT) {
        networks.entry(DEFAULT.to_owned()).or_insert(Network { is_internal: false });
    }
    networks.retain(|name, _| used.contains(name));
    refuse_unknown_names(reader, &members, &networks, &declared)?;
    order::settle(reader, &mut members)?;
    let sorted = order::sorted(reader, &members)?;
    let once = order::once(&mut members, &sorted);
    order::bound_stop(reader, &mut members);
    image::require_dockerfiles(reader, &mut members)?;
    let volumes = volumes_of(&members).map(str::to_owned).collect();
    Ok(Read { members, once, networks, volumes })
}

fn is_chosen(reader: &Reader, at: At, profiles: &[&str]) -> Result<bool> {
    let entries = reader.entries(at)?;
    let Some((path, _, node)) = entries.iter().find(|(_, key, _)| *key == "profiles") else {
        return Ok(true);
    };
    let own = reader.texts(At { path, node })?;
    Ok(own.is_empty() || own.iter().any(|profile| profiles.contains(&profile.as_str())))
}

fn networks(reader: &Reader, at: At) -> Result<BTreeMap<String, Network>> {
    let mut all = BTreeMap::new();
    for (path, name, node) in reader.entries(at)? {
        if !is_name(name) || all.len() == MOST_NETWORKS {
            let why = format!(
                "is not one of up to {MOST_NETWORKS} networks, with names of letters, digits, - and _"
            );
            return Err(reader.invalid(&path, &why));
        }
        let mut network = Network { is_internal: false };
        for (path, key, node) in reader.entries(At { path: &path, node })? {
            let at = At { path: &path, node };
            match key {
                "internal" => network.is_internal = reader.flag(at)?,
                "driver" if reader.text(at)? == "bridge" => {}
                "external" if !reader.flag(at)? => {}
                "name" | "attachable" | "labels" => {}
                _ => return Err(of_the_machine(reader, &path, "networks")),
            }
        }
        all.insert(name.to_owned(), network);
    }
    Ok(all)
}

fn volumes(reader: &Reader, at: At) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for (path, name, node) in reader.entries(at)? {
        for (path, key, node) in reader.entries(At { path: &path, node })? {
            let at = At { path: &path, node };
            match key {
                "driver" if reader.text(at)? == "local" => {}
                "external" if !reader.flag(at)? => {}
                "labels" => {}
                // `driver_opts` can make a volume of any directory of the machine, and a name that of another service.
                _ => return Err(of_the_machine(reader, &path, "volumes")),
            }
        }
        all.insert(name.to_owned());
    }
    Ok(all)
}

fn of_the_machine(reader: &Reader, path: &str, what: &str) -> Error {
    let why = format!("is refused: the service has {what} of its own, and none that the machine has");
    reader.refused(path, &why, "remove it")
}

fn volumes_of(members: &BTreeMap<String, Member>) -> impl Iterator<Item = &str> {
    members.values().flat_map(|member| &member.mounts).filter_map(|mount| match mount {
        Mount::Volume { name, .. } => Some(name.as_str()),
        _ => None,
    })
}

fn refuse_unknown_names(
    reader: &Reader,
    members: &BTreeMap<String, Member>,
    networks: &BTreeMap<String, Network>,
    declared: &BTreeSet<String>,
) -> Result<()> {
    for (name, member) in members {
        let path = format!("services.{name}");
        if let Some(unknown) = member.networks.iter().find(|network| !networks.contains_key(*network)) {
            let why = format!("names the network {}, which the file does not have", excerpt(unknown));
            return Err(reader.invalid(&path, &why));
        }
    }
    match volumes_of(members).find(|name| !declared.contains(*name)) {
        Some(name) => Err(reader
            .invalid("volumes", &format!("does not have {name}, which a container mounts"))
            .remedy(format!(
                "declare it at the end of the file (volumes: {{{name}: {{}}}}); a directory begins with ./"
            ))),
        None => Ok(()),
    }
}
