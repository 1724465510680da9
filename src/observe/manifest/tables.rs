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
    /// A number from 1 to 65535, kept as its digits.
    Port,
    /// A text of several lines, of at most so many bytes.
    Document(usize),
    /// A list of strings that fit, kept with a line for each.
    List(fn(&str) -> bool),
}

/// Entries of a list.
const MOST_ENTRIES: usize = 32;

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
            Takes::Port => item.number(1..=u16::MAX, key.expected)?.to_string(),
            Takes::Document(most) => {
                let value = item.string(key.expected)?;
                if value.len() > most {
                    return Err(item.fault(format!("has {} bytes; the limit is {most}", value.len())));
                }
                value.to_owned()
            }
            Takes::Text(fits) => text(&item, key, fits)?,
            Takes::List(fits) => {
                let entries = item.list(key.expected, MOST_ENTRIES)?;
                entries.iter().map(|entry| text(entry, key, fits)).collect::<Read<Vec<_>>>()?.join("\n")
            }
        };
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// A string that fits. One with a line break never does, because a list has a line for each entry.
fn text(item: &Item<'_>, key: &Key, fits: fn(&str) -> bool) -> Read<String> {
    let value = item.string(key.expected)?;
    match fits(value) && !value.contains('\n') {
        true => Ok(value.to_owned()),
        false => Err(item.fault(format!("is {}; expected {}", shown(value), key.expected))),
    }
}

/// Merges an overlay (`over`) with the layer below it, key by key.
pub(super) fn over(over: Tables, under: Tables) -> Tables {
    let mut all = under;
    for (table, keys) in over {
        all.entry(table).or_default().extend(keys);
    }
    all
}
