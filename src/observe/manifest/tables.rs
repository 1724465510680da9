//! Parses the tables of runtimes, such as `[node]`. Each runtime declares the keys of its table.

use std::collections::BTreeMap;

use super::spanned::{Item, Read, shown};

/// The declaration of a runtime's table.
#[derive(Debug)]
pub struct Table {
    /// The runtime's name.
    pub name: &'static str,
    pub keys: &'static [Key],
}

#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    /// What a valid value is, for the error: "an npm version range".
    pub expected: &'static str,
    pub takes: Takes,
}

#[derive(Debug)]
pub enum Takes {
    /// A string that fits.
    Text(fn(&str) -> bool),
    /// `true` or `false`, which is kept as that word.
    Flag,
}

/// Values by table and key.
pub type Tables = BTreeMap<String, BTreeMap<String, String>>;

/// Reads one table. `elsewhere` are the keys of the manifest's root, for a hint.
pub(super) fn read(table: &Table, item: &Item<'_>, elsewhere: &[&str]) -> Read<BTreeMap<String, String>> {
    let section = item.table()?;
    let known: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
    let mut values = BTreeMap::new();
    for (name, at, item) in section.entries() {
        let key = table.keys.iter().find(|key| key.name == name);
        let key = key.ok_or_else(|| section.unknown(name, at, &known, elsewhere))?;
        let value = match key.takes {
            Takes::Flag => item.flag()?.to_string(),
            Takes::Text(fits) => {
                let value = item.string(key.expected)?;
                if !fits(value) {
                    return Err(item.fault(format!("is {}; expected {}", shown(value), key.expected)));
                }
                value.to_owned()
            }
        };
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// Merges an overlay (`over`) with the layer below it, key by key.
pub(super) fn over(over: Tables, under: Tables) -> Tables {
    let mut all = under;
    for (table, keys) in over {
        all.entry(table).or_default().extend(keys);
    }
    all
}
