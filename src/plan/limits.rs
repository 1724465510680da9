//! What a unit may use at most. Data only: the manifest and the policy name it, the planner writes it into units.

use std::cmp::min;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a service's units have if nothing else is named, as in `hardening`.
pub const OPEN_FILES: u32 = 65_536;
pub const TASKS: u16 = 4096;

pub const AN_AMOUNT: &str = "an amount like \"400M\" or \"2G\", at least 16M";
/// With less, no runtime starts.
const LEAST_MEMORY: u64 = 16 << 20;

/// An amount of memory, in systemd's notation: `400M`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Memory(String);

impl Memory {
    /// None if it is not a number of at most six digits and `M` or `G`, or less than 16M.
    pub fn parse(text: &str) -> Option<Memory> {
        let memory = Memory(text.to_owned());
        memory.bytes().filter(|bytes| *bytes >= LEAST_MEMORY).map(|_| memory)
    }

    /// `None` only for a text that `parse` would not take.
    pub fn bytes(&self) -> Option<u64> {
        let unit = match self.0.bytes().last()? {
            b'M' => 1 << 20,
            b'G' => 1 << 30,
            _ => return None,
        };
        let digits = self.0.get(..self.0.len() - 1)?;
        let is_number = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number).map(|number| number * unit)
    }

    /// The smaller one.
    fn or_less(self, other: &Memory) -> Memory {
        if other.bytes() < self.bytes() { other.clone() } else { self }
    }
}

impl TryFrom<String> for Memory {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Memory::parse(&text).ok_or_else(|| format!("expected {AN_AMOUNT}"))
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> String {
        memory.0
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The limits of one unit; none: the default, and for memory none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub memory: Option<Memory>,
    pub open_files: Option<u32>,
    pub tasks: Option<u16>,
}

impl Limits {
    /// These limits with those of `over` in place of the same ones.
    pub fn under(self, over: Limits) -> Limits {
        Limits {
            memory: over.memory.or(self.memory),
            open_files: over.open_files.or(self.open_files),
            tasks: over.tasks.or(self.tasks),
        }
    }

    /// Each of them, and each default, at most as in `most`.
    pub fn within(self, most: &Limits) -> Limits {
        let memory = match (self.memory, &most.memory) {
            (Some(own), Some(most)) => Some(own.or_less(most)),
            (own, most) => own.or_else(|| most.clone()),
        };
        Limits {
            memory,
            open_files: capped(self.open_files, OPEN_FILES, most.open_files),
            tasks: capped(self.tasks, TASKS, most.tasks),
        }
    }

    /// Each limit by its key: `memory`, `400M`.
    pub fn named(&self) -> Vec<(&'static str, String)> {
        let memory = self.memory.iter().map(|most| ("memory", most.to_string()));
        let files = self.open_files.iter().map(|most| ("open_files", most.to_string()));
        let tasks = self.tasks.iter().map(|most| ("tasks", most.to_string()));
        memory.chain(files).chain(tasks).collect()
    }

    /// `memory 400M, tasks 64`; empty without limits.
    pub fn shown(&self) -> String {
        let named = self.named().into_iter().map(|(key, most)| format!("{key} {most}"));
        named.collect::<Vec<_>>().join(", ")
    }

    /// The directives of a unit that they replace or add.
    pub fn directives(&self) -> Vec<String> {
        let memory = self.memory.iter().map(|most| format!("MemoryMax={most}"));
        let files = self.open_files.iter().map(|most| format!("LimitNOFILE={most}"));
        let tasks = self.tasks.iter().map(|most| format!("TasksMax={most}"));
        memory.chain(files).chain(tasks).collect()
    }
}

/// None: the default stands.
fn capped<T: Copy + Ord>(own: Option<T>, default: T, most: Option<T>) -> Option<T> {
    let Some(most) = most else { return own };
    let capped = min(own.unwrap_or(default), most);
    (own.is_some() || capped != default).then_some(capped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: &str, open_files: Option<u32>, tasks: Option<u16>) -> Limits {
        Limits { memory: Memory::parse(memory), open_files, tasks }
    }

    #[test]
    fn a_bound_caps_what_is_larger_and_gives_a_limit_where_there_is_none() {
        let most = limits("1G", Some(1024), Some(8192));
        for (own, memory, files, tasks) in [
            (limits("", None, None), "1G", Some(1024), None),
            (limits("2G", Some(2048), Some(9000)), "1G", Some(1024), Some(8192)),
            (limits("400M", Some(64), Some(16)), "400M", Some(64), Some(16)),
            (limits("1024M", None, Some(8192)), "1024M", Some(1024), Some(8192)),
        ] {
            let shown = format!("{own:?}");
            assert_eq!(own.within(&most), limits(memory, files, tasks), "{shown}");
        }
        let own = limits("2G", None, Some(20));
        assert_eq!(own.clone().within(&Limits::default()), own);
    }

    #[test]
    fn amounts_are_numbers_of_megabytes_or_gigabytes() {
        assert!(["16M", "400M", "1G", "999999G"].iter().all(|text| Memory::parse(text).is_some()));
        for text in ["", "M", "15M", "400", "400K", "1000000M", "+16M", "infinity", "40é"] {
            assert_eq!(Memory::parse(text), None, "{text}");
        }
    }
}
