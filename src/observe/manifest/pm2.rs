//! Parses the table `[pm2]` of a manifest.

use super::SupervisorName;
use super::spanned::{Fault, Item, Placed, Read, shown};
use super::values;
use crate::plan::Seconds;

const KEYS: &[&str] =
    &["ecosystem", "instances", "kill_timeout", "listen_timeout", "max_memory_restart", "mode", "wait_ready"];

/// Seconds: the unit has 30 s to stop, and PM2 itself needs some of them.
const LONGEST_KILL: u64 = 25;
/// Seconds: a reload waits for the new processes one after the other, and has less than two minutes.
const LONGEST_LISTEN: u64 = 60;
/// Each instance is a process: a larger number is probably a mistake.
const MOST_INSTANCES: u16 = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pm2Wish {
    pub ecosystem: Pm2Ecosystem,
    /// None: cluster if there are several instances, else fork.
    pub mode: Option<Pm2Mode>,
    pub instances: Option<Pm2Instances>,
    /// In PM2's notation: `300M`.
    pub max_memory_restart: Option<String>,
    pub wait_ready: Option<bool>,
    pub kill_timeout: Option<Seconds>,
    pub listen_timeout: Option<Seconds>,
}

/// Which ecosystem file PM2 reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pm2Ecosystem {
    /// The file with the usual name in the repository's root; a generated one if there is none.
    #[default]
    Detected,
    /// The file with this path, relative to the repository's root.
    File(String),
    Generated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pm2Mode {
    Fork,
    Cluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pm2Instances {
    Count(u16),
    /// One for each processor.
    Max,
}

impl Pm2Wish {
    /// Whether the table has a key that only a generated ecosystem file can contain.
    pub fn asks_of_a_generated_file(&self) -> bool {
        self.mode.is_some()
            || self.instances.is_some()
            || self.max_memory_restart.is_some()
            || self.wait_ready.is_some()
            || self.kill_timeout.is_some()
            || self.listen_timeout.is_some()
    }
}

#[derive(Clone, Default)]
pub(super) struct Pm2Layer {
    at: usize,
    ecosystem: Option<Pm2Ecosystem>,
    mode: Option<Pm2Mode>,
    instances: Option<Pm2Instances>,
    max_memory_restart: Option<String>,
    wait_ready: Option<bool>,
    kill_timeout: Option<Seconds>,
    listen_timeout: Option<Seconds>,
}

impl Pm2Layer {
    pub fn read(item: &Item<'_>, root_keys: &[&str]) -> Read<Pm2Layer> {
        let section = item.table()?;
        let mut layer = Pm2Layer { at: item.placed(()).at, ..Pm2Layer::default() };
        for (key, at, item) in section.entries() {
            match key {
                "ecosystem" => layer.ecosystem = Some(ecosystem(&item)?),
                "instances" => layer.instances = Some(instances(&item)?),
                "kill_timeout" => layer.kill_timeout = Some(seconds(&item, LONGEST_KILL)?),
                "listen_timeout" => layer.listen_timeout = Some(seconds(&item, LONGEST_LISTEN)?),
                "max_memory_restart" => layer.max_memory_restart = Some(memory(&item)?),
                "mode" => layer.mode = Some(mode(&item)?),
                "wait_ready" => layer.wait_ready = Some(item.flag()?),
                _ => return Err(section.unknown(key, at, KEYS, root_keys)),
            }
        }
        Ok(layer)
    }

    /// Merges an overlay (`over`) with the base, key by key.
    pub fn merged(under: Option<Pm2Layer>, over: Option<Pm2Layer>) -> Option<Pm2Layer> {
        match (under, over) {
            (Some(under), Some(over)) => Some(Pm2Layer {
                at: over.at,
                ecosystem: over.ecosystem.or(under.ecosystem),
                mode: over.mode.or(under.mode),
                instances: over.instances.or(under.instances),
                max_memory_restart: over.max_memory_restart.or(under.max_memory_restart),
                wait_ready: over.wait_ready.or(under.wait_ready),
                kill_timeout: over.kill_timeout.or(under.kill_timeout),
                listen_timeout: over.listen_timeout.or(under.listen_timeout),
            }),
            (under, over) => over.or(under),
        }
    }

    /// A table `[pm2]` with another supervisor is a mistake.
    pub fn finish(
        layer: Option<Pm2Layer>,
        supervisor: Option<&Placed<SupervisorName>>,
    ) -> Read<Option<Pm2Wish>> {
        let Some(layer) = layer else { return Ok(None) };
        if let Some(other) = supervisor.filter(|name| name.value != SupervisorName::Pm2) {
            let what = format!("pm2 needs supervisor = \"pm2\", which is \"{}\"", other.value.name());
            return Err(Fault { at: layer.at, what });
        }
        Ok(Some(Pm2Wish {
            ecosystem: layer.ecosystem.unwrap_or_default(),
            mode: layer.mode,
            instances: layer.instances,
            max_memory_restart: layer.max_memory_restart,
            wait_ready: layer.wait_ready,
            kill_timeout: layer.kill_timeout,
            listen_timeout: layer.listen_timeout,
        }))
    }
}

const AN_ECOSYSTEM: &str = "a file like \"ecosystem.config.js\", or false for a generated one";

fn ecosystem(item: &Item<'_>) -> Read<Pm2Ecosystem> {
    match item.as_bool() {
        Some(false) => return Ok(Pm2Ecosystem::Generated),
        Some(true) => return Err(item.expected(AN_ECOSYSTEM)),
        None => {}
    }
    let path = item.string(AN_ECOSYSTEM)?;
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let ends = [".json", ".js", ".cjs", ".mjs"].iter().any(|end| path.ends_with(end));
    match ends && path.len() <= 255 && path.split('/').all(is_part) {
        true => Ok(Pm2Ecosystem::File(path.to_owned())),
        false => Err(item.fault(format!(
            "is {}; expected {AN_ECOSYSTEM} (letters, digits, . _ - and /, ending in .json, .js, .cjs or .mjs)",
            shown(path)
        ))),
    }
}

fn instances(item: &Item<'_>) -> Read<Pm2Instances> {
    let expected = format!("a number from 1 to {MOST_INSTANCES}, or \"max\"");
    match item.as_str() {
        Some("max") => Ok(Pm2Instances::Max),
        Some(other) => Err(item.fault(format!("is {}; expected {expected}", shown(other)))),
        None => item.number(1..=MOST_INSTANCES, &expected).map(Pm2Instances::Count),
    }
}

fn mode(item: &Item<'_>) -> Read<Pm2Mode> {
    let expected = "\"fork\" or \"cluster\"";
    match item.string(expected)? {
        "fork" => Ok(Pm2Mode::Fork),
        "cluster" => Ok(Pm2Mode::Cluster),
        other => Err(item.fault(format!("is {}; expected {expected}", shown(other)))),
    }
}

fn memory(item: &Item<'_>) -> Read<String> {
    let expected = "an amount like \"300M\" or \"1G\"";
    let text = item.string(expected)?;
    let number = text.strip_suffix(['K', 'M', 'G']).unwrap_or_default();
    match !number.is_empty() && number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err(item.fault(format!("is {}; expected {expected}", shown(text)))),
    }
}

fn seconds(item: &Item<'_>, most: u64) -> Read<Seconds> {
    let seconds = values::seconds(item)?;
    match seconds.0 <= most {
        true => Ok(seconds),
        false => Err(item.fault(format!("is {} s; expected at most {most} s", seconds.0))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
    use super::*;

    fn read(text: &str) -> Result<Manifest, String> {
        Manifest::parse("bootagent.toml", text, None, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn the_table_or_the_supervisor_s_name_selects_pm2() {
        for text in ["supervisor = \"pm2\"", "[pm2]", "supervisor = \"pm2\"\n[pm2]\ninstances = 2"] {
            assert_eq!(read(text).unwrap().supervisor(), SupervisorName::Pm2, "{text}");
        }
        for text in ["", "supervisor = \"systemd\""] {
            assert_eq!(read(text).unwrap().supervisor(), SupervisorName::Systemd, "{text}");
        }
        assert!(read("supervisor = \"systemd\"\n[pm2]").unwrap_err().contains("pm2 needs supervisor"));
    }

    #[test]
    fn keys_are_read_and_an_overlay_replaces_each_of_them() {
        let text = "[pm2]\nmode = \"cluster\"\ninstances = \"max\"\nmax_memory_restart = \"300M\"\n\
            [environments.test.pm2]\ninstances = 2\nkill_timeout = \"10s\"\n";
        let environment = "test".try_into().unwrap();
        let pm2 = Manifest::parse("bootagent.toml", text, Some(&environment), &[]).unwrap().pm2.unwrap();
        assert_eq!((pm2.mode, pm2.instances), (Some(Pm2Mode::Cluster), Some(Pm2Instances::Count(2))));
        assert_eq!((pm2.max_memory_restart.as_deref(), pm2.kill_timeout), (Some("300M"), Some(Seconds(10))));
        assert_eq!(pm2.ecosystem, Pm2Ecosystem::Detected);
    }

    #[test]
    fn an_ecosystem_file_stays_in_the_repository() {
        for path in ["ecosystem.config.js", "deploy/pm2.json", "x.cjs", "x.mjs"] {
            let pm2 = read(&format!("[pm2]\necosystem = \"{path}\"")).unwrap().pm2.unwrap();
            assert_eq!(pm2.ecosystem, Pm2Ecosystem::File(path.to_owned()));
        }
        assert_eq!(read("[pm2]\necosystem = false").unwrap().pm2.unwrap().ecosystem, Pm2Ecosystem::Generated);
        for path in ["/etc/x.js", "../x.js", "a//x.js", "x.yml", "x", "a b.js", "./x.js"] {
            assert!(read(&format!("[pm2]\necosystem = \"{path}\"")).is_err(), "{path}");
        }
    }

    #[test]
    fn invalid_values_are_refused() {
        for (line, says) in [
            ("instances = 0", "from 1 to 64"),
            ("instances = \"all\"", "or \"max\""),
            ("mode = \"clustre\"", "\"cluster\""),
            ("max_memory_restart = \"300\"", "300M"),
            ("max_memory_restart = \"M\"", "300M"),
            ("kill_timeout = 26", "at most 25 s"),
            ("listen_timeout = 61", "at most 60 s"),
            ("ecosystem = true", "or false"),
            ("instance = 1", "did you mean \"instances\""),
        ] {
            let error = read(&format!("[pm2]\n{line}")).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
