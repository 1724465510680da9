//! Reads the keys of a container that stand in the file for compose as they are: its user, limits, and what it may not do.
//! Pure.

use serde_json::{Map, Value};

use super::amount;
use super::project::Member;
use super::reader::{At, Reader};
use super::template::text;
use crate::error::Result;
use crate::planner::runtime::container::{is_path, is_user};
use crate::planner::runtime::yaml_tree::Node;

/// Capabilities that a container of bootagent has unless it drops all: those that it may name after `cap_drop: [ALL]`.
const USUAL: [&str; 7] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];

/// Whether the key is one of these.
pub fn read(reader: &Reader, member: &mut Member, key: &str, at: At) -> Result<bool> {
    let fits: Option<fn(&str) -> bool> = match key {
        "user" => Some(is_user),
        "working_dir" => Some(is_path),
        "hostname" | "domainname" => Some(is_host),
        "stop_signal" => Some(is_signal),
        "mem_limit" | "mem_reservation" | "memswap_limit" | "shm_size" => Some(amount::is_one),
        "cpus" => Some(is_decimal),
        _ => None,
    };
    if let Some(fits) = fits {
        let value = reader.text(at)?;
        if !fits(&value) {
            return Err(reader.invalid(at.path, "has a value that is not understood"));
        }
        member.plain.insert(key.to_owned(), text(&value));
        return Ok(true);
    }
    match key {
        "init" | "read_only" => _ = member.plain.insert(key.to_owned(), reader.flag(at)?.into()),
        "pids_limit" | "cpu_shares" => {
            let most = if key == "pids_limit" { 32_768 } else { 1024 };
            let number = reader.number(at, most)?;
            if number == 0 {
                return Err(reader.invalid(at.path, "is 0, which would be no limit"));
            }
            member.plain.insert(key.to_owned(), number.into());
        }
        "expose" => _ = reader.items(at)?,
        "cap_drop" => member.dropped_capabilities.extend(capabilities(reader, at)?),
        "cap_add" => added(reader, member, at)?,
        "security_opt" => options(reader, at)?,
        "ulimits" => _ = member.plain.insert(key.to_owned(), ulimits(reader, at)?),
        "extra_hosts" => _ = member.plain.insert(key.to_owned(), hosts(reader, at)?),
        "scale" => one_of_each(reader, at)?,
        "deploy" => deploy(reader, member, at)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn capabilities(reader: &Reader, at: At) -> Result<Vec<String>> {
    let names = reader.texts(at)?;
    let names: Vec<String> =
        names.iter().map(|name| name.to_uppercase().trim_start_matches("CAP_").to_owned()).collect();
    let is_name =
        |name: &String| name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_') && !name.is_empty();
    match names.iter().all(is_name) {
        true => Ok(names),
        false => Err(reader.invalid(at.path, "has what is not the name of a capability")),
    }
}

fn added(reader: &Reader, member: &mut Member, at: At) -> Result<()> {
    for name in capabilities(reader, at)? {
        if !USUAL.contains(&name.as_str()) {
            let why = format!("is refused: {name} gives the container more of the machine");
            let remedy = format!("remove it; containers may have {}", USUAL.join(", "));
            return Err(reader.refused(at.path, &why, &remedy));
        }
        member.added_capabilities.insert(name);
    }
    Ok(())
}

/// Every container has `no-new-privileges`; the others loosen something.
fn options(reader: &Reader, at: At) -> Result<()> {
    for text in reader.texts(at)? {
        if !matches!(text.as_str(), "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true")
        {
            return Err(reader.refused(
                at.path,
                "is refused: it changes what the kernel lets the container do",
                "remove it; every container has no-new-privileges",
            ));
        }
    }
    Ok(())
}

fn ulimits(reader: &Reader, at: At) -> Result<Value> {
    let mut all = Map::new();
    for (path, key, node) in reader.entries(at)? {
        let at = At { path: &path, node };
        if !matches!(key, "nofile" | "nproc" | "memlock" | "stack") {
            return Err(reader.invalid(at.path, "is not nofile, nproc, memlock or stack"));
        }
        let bound = |at: At| reader.number(at, 1 << 30).map(Value::from);
        let value = match node {
            Node::Map(_) => {
                let mut both = Map::new();
                for (path, key, node) in reader.entries(at)? {
                    let at = At { path: &path, node };
                    match key {
                        "soft" | "hard" => _ = both.insert(key.to_owned(), bound(at)?),
                        _ => return Err(reader.invalid(at.path, "is not soft or hard")),
                    }
                }
                let of = |key: &str| both.get(key).and_then(Value::as_u64);
                match (of("soft"), of("hard")) {
                    (Some(soft), Some(hard)) if soft <= hard => Value::Object(both),
                    _ => return Err(reader.invalid(at.path, "has no soft limit up to a hard one")),
                }
            }
            _ => bound(at)?,
        };
        all.insert(key.to_owned(), value);
    }
    Ok(Value::Object(all))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, or a mapping.
fn hosts(reader: &Reader, at: At) -> Result<Value> {
    let mut pairs = Vec::new();
    if let Node::Map(_) = at.node {
        for (path, name, node) in reader.entries(at)? {
            pairs.push((name.to_owned(), reader.text(At { path: &path, node })?));
        }
    } else {
        for text in reader.texts(at)? {
            let pair = text.split_once([':', '=']);
            let (name, address) = pair.ok_or_else(|| reader.invalid(at.path, "is not NAME:ADDRESS"))?;
            pairs.push((name.to_owned(), address.to_owned()));
        }
    }
    let is_address = |text: &str| text == "host-gateway" || text.parse::<core::net::IpAddr>().is_ok();
    match pairs.iter().all(|(name, address)| is_host(name) && is_address(address)) {
        true => Ok(pairs.iter().map(|(name, address)| Value::from(format!("{name}:{address}"))).collect()),
        false => Err(reader.invalid(at.path, "is not NAME:ADDRESS")),
    }
}

/// Of what is for a cluster, the limits of one container.
fn deploy(reader: &Reader, member: &mut Member, at: At) -> Result<()> {
    for (path, key, node) in reader.entries(at)? {
        let at = At { path: &path, node };
        match key {
            "resources" => resources(reader, member, at)?,
            "replicas" => one_of_each(reader, at)?,
            "restart_policy" | "labels" | "mode" | "placement" | "update_config" | "rollback_config"
            | "endpoint_mode" => {}
            _ => return Err(reader.invalid(at.path, "is not known")),
        }
    }
    Ok(())
}

fn one_of_each(reader: &Reader, at: At) -> Result<()> {
    if reader.number(at, 100)? == 1 {
        return Ok(());
    }
    let remedy = "remove it: the size of the fleet is that of the Auto Scaling group";
    Err(reader.refused(at.path, "is refused: bootagent runs one container of each", remedy))
}

fn resources(reader: &Reader, member: &mut Member, at: At) -> Result<()> {
    for (path, key, node) in reader.entries(at)? {
        for (path, bound, node) in reader.entries(At { path: &path, node })? {
            let at = At { path: &path, node };
            let (name, fits): (_, fn(&str) -> bool) = match (key, bound) {
                ("limits", "memory") => ("mem_limit", amount::is_one),
                ("limits", "cpus") => ("cpus", is_decimal),
                ("reservations", "memory") => ("mem_reservation", amount::is_one),
                ("limits", "pids") => {
                    read(reader, member, "pids_limit", at)?;
                    continue;
                }
                ("reservations", "cpus") => continue,
                _ => {
                    return Err(reader.refused(
                        at.path,
                        "is refused: it is not memory, cpus or pids",
                        "remove it",
                    ));
                }
            };
            let value = reader.text(at)?;
            if !fits(&value) {
                return Err(reader.invalid(at.path, "has a value that is not understood"));
            }
            member.plain.entry(name).or_insert(text(&value));
        }
    }
    Ok(())
}

fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.starts_with('-')
}

fn is_signal(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-".contains(c))
}

fn is_decimal(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}
