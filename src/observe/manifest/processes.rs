//! Parses the tables `[processes.NAME]` of a manifest: programs of the repository that run beside the service.

use std::collections::BTreeMap;

use super::spanned::{Fault, Item, Read, shown};
use super::{limits, values};
use crate::plan::Limits;

/// Each is a unit of systemd.
const MOST: usize = 20;
/// Of one process, and of all together: each instance is a unit, too.
const MOST_INSTANCES: u16 = 32;
const MOST_UNITS: u16 = 64;
const KEYS: &[&str] = &["instances", "limits", "start"];
/// Longer than the names that anything needs; the name of a unit has at most 255 bytes.
const LONGEST_NAME: usize = 24;

/// The unit of nginx in front of the service has this name.
const PROXY: &str = "proxy";

/// By name.
pub type Processes = BTreeMap<String, Process>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The command line.
    pub start: String,
    /// How many units run it, each with its number as INSTANCE; none: one without a number.
    pub instances: Option<u16>,
    /// In place of the manifest's `[limits]`, key by key.
    pub limits: Limits,
}

impl Process {
    /// The number of its units.
    pub fn units(&self) -> u16 {
        self.instances.unwrap_or(1)
    }
}

pub(super) fn read(item: &Item<'_>, root_keys: &[&str]) -> Read<Processes> {
    let mut processes = Processes::new();
    for (name, at, item) in item.bounded_table(MOST)?.entries() {
        check_name(name, at, "processes")?;
        processes.insert(name.to_owned(), process(&item, root_keys)?);
    }
    let all: u16 = processes.values().map(Process::units).sum();
    match all <= MOST_UNITS {
        true => Ok(processes),
        false => Err(item.fault(format!("has {all} instances of all processes; the limit is {MOST_UNITS}"))),
    }
}

fn process(item: &Item<'_>, root_keys: &[&str]) -> Read<Process> {
    let (section, mut start, mut instances, mut own) = (item.table()?, None, None, Limits::default());
    for (key, at, item) in section.entries() {
        match key {
            "start" => start = Some(values::command(&item)?),
            "instances" => {
                instances =
                    Some(item.number(1..=MOST_INSTANCES, &format!("a number from 1 to {MOST_INSTANCES}"))?)
            }
            "limits" => own = limits::read(&item, root_keys)?,
            _ => return Err(section.unknown(key, at, KEYS, root_keys)),
        }
    }
    match start {
        Some(start) => Ok(Process { start, instances, limits: own }),
        None => Err(item.fault("has no start, the command that it runs")),
    }
}

/// A name that becomes part of a unit's: letters, digits and hyphens, so that it needs no escape.
pub(super) fn check_name(name: &str, at: usize, table: &str) -> Read<()> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= LONGEST_NAME
        && name.chars().all(letters);
    if name == PROXY {
        return Err(Fault {
            at,
            what: format!("{table} has \"proxy\", the name of the unit of [proxy]; choose another one"),
        });
    }
    let rule = format!("a-z, 0-9 and -, a letter first, up to {LONGEST_NAME}");
    match is_name {
        true => Ok(()),
        false => Err(Fault { at, what: format!("{table} has {}; expected a name ({rule})", shown(name)) }),
    }
}

/// Merges an overlay (`over`) with the base, process by process.
pub(super) fn merged<T>(
    under: Option<BTreeMap<String, T>>,
    over: Option<BTreeMap<String, T>>,
) -> Option<BTreeMap<String, T>> {
    match (under, over) {
        (Some(mut under), Some(over)) => {
            under.extend(over);
            Some(under)
        }
        (under, over) => over.or(under),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;

    fn read(text: &str) -> Result<Manifest, String> {
        Manifest::parse("bootagent.toml", text, None, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn processes_are_read_and_an_overlay_replaces_each_of_them() {
        let text = "[processes.worker]\nstart = \"node worker.js\"\n[processes.mail]\nstart = \"node mail.js\"\n\
            [environments.test.processes.mail]\nstart = \"node mail.js --dry\"\n";
        let environment = "test".try_into().unwrap();
        let manifest = Manifest::parse("bootagent.toml", text, Some(&environment), &[]).unwrap();
        let starts: Vec<(&str, &str)> =
            manifest.processes.iter().map(|(name, of)| (name.as_str(), of.start.as_str())).collect();
        assert_eq!(starts, [("mail", "node mail.js --dry"), ("worker", "node worker.js")]);
    }

    #[test]
    fn a_process_has_instances_and_limits_of_its_own() {
        let text = "[processes.worker]\nstart = \"x\"\ninstances = 3\nlimits = { memory = \"200M\" }\n[processes.mail]\nstart = \"x\"\n";
        let processes = read(text).unwrap().processes;
        let shown: Vec<_> =
            processes.values().map(|one| (one.instances, one.units(), one.limits.shown())).collect();
        assert_eq!(shown, [(None, 1, String::new()), (Some(3), 3, "memory 200M".to_owned())]);
    }

    #[test]
    fn invalid_processes_are_refused() {
        for (text, says) in [
            ("[processes.Worker]\nstart = \"x\"", "1:12: processes has \"Worker\"; expected a name"),
            (
                "[processes.proxy]\nstart = \"x\"",
                "1:12: processes has \"proxy\", the name of the unit of [proxy]",
            ),
            ("[processes.\"a.b\"]\nstart = \"x\"", "expected a name"),
            ("[processes.a-name-that-is-much-too-long]\nstart = \"x\"", "expected a name"),
            ("[processes.worker]", "processes.worker has no start"),
            (
                "[processes.worker]\nrun = \"x\"",
                "unknown key \"run\" in processes.worker; known here: instances, limits, start",
            ),
            ("[processes.worker]\nstart = \"\"", "processes.worker.start is empty"),
            (
                "[processes.worker]\nstart = \"x\"\ninstances = 0",
                "instances is 0; expected a number from 1 to 32",
            ),
            ("[processes.worker]\nstart = \"x\"\ninstances = \"max\"", "expected a number from 1 to 32"),
            (
                "[processes.worker]\nstart = \"x\"\nlimits.cpu = 1",
                "unknown key \"cpu\" in processes.worker.limits",
            ),
            (
                "[processes]\na = { start = \"x\", instances = 32 }\nb = { start = \"x\", instances = 33 }",
                "instances is 33",
            ),
            (
                "[processes]\na = { start = \"x\", instances = 32 }\nb = { start = \"x\", instances = 32 }\nc.start = \"x\"",
                "has 65 instances of all processes; the limit is 64",
            ),
            ("processes = 1", "processes is an integer; expected a table"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
