//! The tables of runtimes, `[node]` for one. Each runtime says which keys its own has; here they are read.

use std::collections::BTreeMap;

use super::place::{Item, Read, shown};

/// A table of one runtime, which has the runtime's name.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub keys: &'static [Key],
}

/// A key whose value is a string.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    /// What is expected of it, for the error.
    pub expected: &'static str,
    pub fits: fn(&str) -> bool,
}

/// Table to key to value.
pub type Tables = BTreeMap<String, BTreeMap<String, String>>;

pub(super) fn read(table: &Table, item: &Item<'_>, elsewhere: &[&str]) -> Read<BTreeMap<String, String>> {
    let section = item.table()?;
    let known: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
    let mut said = BTreeMap::new();
    for (name, at, item) in section.entries() {
        let key = table.keys.iter().find(|key| key.name == name);
        let key = key.ok_or_else(|| section.unknown(name, at, &known, elsewhere))?;
        let value = item.string(key.expected)?;
        if !(key.fits)(value) {
            return Err(item.fault(format!("is {}; expected {}", shown(value), key.expected)));
        }
        said.insert(name.to_owned(), value.to_owned());
    }
    Ok(said)
}

/// One layer over another, key by key.
pub(super) fn over(over: Tables, under: Tables) -> Tables {
    let mut all = under;
    for (table, keys) in over {
        all.entry(table).or_default().extend(keys);
    }
    all
}
