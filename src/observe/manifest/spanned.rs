//! Parsed TOML whose values know their dotted name and position, so that each error can name both.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::facts::Environment;
use crate::observe::nearest::nearest;
use crate::secret::cut;

/// Each read checks the manifest once per overlay: a manifest with many overlays would stop the agent for minutes.
const MOST_ENVIRONMENTS: usize = 50;

/// A mistake in the file.
#[derive(Debug)]
pub(super) struct Fault {
    /// The byte offset in the file.
    pub at: usize,
    pub what: String,
}

pub(super) type Read<T> = Result<T, Fault>;

/// A table, with its dotted name for errors; the root's name is empty.
pub(super) struct Section<'a> {
    name: String,
    table: &'a DeTable<'a>,
}

/// A value, with its dotted name for errors.
pub(super) struct Item<'a> {
    pub name: String,
    value: &'a Spanned<DeValue<'a>>,
}

/// A parsed value with its byte offset, for checks that need the whole file.
#[derive(Clone)]
pub(super) struct Placed<T> {
    pub at: usize,
    pub value: T,
}

impl<'a> Section<'a> {
    pub fn new(name: String, table: &'a DeTable<'a>) -> Self {
        Section { name, table }
    }

    /// The entries sorted by key: the key, its byte offset, its value.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, usize, Item<'a>)> {
        self.table.iter().map(|(key, value)| {
            let dot = if self.name.is_empty() { "" } else { "." };
            let name = format!("{}{dot}{}", self.name, brief(key.get_ref()));
            (key.get_ref().as_ref(), key.span().start, Item { name, value })
        })
    }

    /// The overlays of environments with their byte offsets. Only the root has any.
    pub fn environments(&self) -> Read<Vec<(Environment, usize, Section<'a>)>> {
        let Some((_, _, item)) = self.entries().find(|(key, ..)| *key == "environments") else {
            return Ok(Vec::new());
        };
        let overlay = |(key, at, item): (&str, usize, Item<'a>)| {
            let name = Environment::try_from(key).map_err(|error| Fault { at, what: error.to_string() })?;
            Ok((name, at, item.table()?))
        };
        item.bounded_table(MOST_ENVIRONMENTS)?.entries().map(overlay).collect()
    }

    pub fn is_root(&self) -> bool {
        self.name.is_empty()
    }

    /// The mistake of an unknown key. `known` are this table's keys, `elsewhere` the root's, for a hint.
    pub fn unknown(&self, key: &str, at: usize, known: &[&str], elsewhere: &[&str]) -> Fault {
        let shown = shown(key);
        let place = if self.is_root() { String::new() } else { format!(" in {}", self.name) };
        let hint = match nearest(key, known) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if elsewhere.contains(&key) => format!("move \"{key}\" above the first [table]"),
            None => format!("known here: {}", known.join(", ")),
        };
        Fault { at, what: format!("unknown key {shown}{place}; {hint}") }
    }
}

impl<'a> Item<'a> {
    pub fn fault(&self, what: impl std::fmt::Display) -> Fault {
        Fault { at: self.value.span().start, what: format!("{} {what}", self.name) }
    }

    /// The mistake of a wrong type.
    pub fn expected(&self, expected: &str) -> Fault {
        let found = match self.value.get_ref() {
            DeValue::Boolean(flag) => flag.to_string(),
            value => format!("{} {}", article(value.type_str()), value.type_str()),
        };
        self.fault(format!("is {found}; expected {expected}"))
    }

    pub fn placed<T>(&self, value: T) -> Placed<T> {
        Placed { at: self.value.span().start, value }
    }

    pub fn as_str(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    pub fn as_bool(&self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    pub fn is_integer(&self) -> bool {
        self.value.get_ref().is_integer()
    }

    pub fn string(&self, expected: &str) -> Read<&'a str> {
        self.as_str().ok_or_else(|| self.expected(expected))
    }

    pub fn flag(&self) -> Read<bool> {
        self.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    pub fn number(&self, range: RangeInclusive<u16>, expected: &str) -> Read<u16> {
        let (least, most) = range.into_inner();
        let number = self.large_number(least.into()..=most.into(), expected)?;
        u16::try_from(number).map_err(|_| self.expected(expected))
    }

    pub fn large_number(&self, range: RangeInclusive<u32>, expected: &str) -> Read<u32> {
        let integer = self.value.get_ref().as_integer().ok_or_else(|| self.expected(expected))?;
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.fault(format!("is {}; expected {expected}", brief(&integer.to_string()))))
    }

    /// The entries of a list; an error if there are more than `most`.
    pub fn list(&self, expected: &str, most: usize) -> Read<Vec<Item<'a>>> {
        let list = self.value.get_ref().as_array().ok_or_else(|| self.expected(expected))?;
        self.bounded(list.len(), most)?;
        Ok(list.iter().map(|value| Item { name: self.name.clone(), value }).collect())
    }

    pub fn table(&self) -> Read<Section<'a>> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        Ok(Section::new(self.name.clone(), table))
    }

    /// A table whose keys the repository chooses; an error if there are more than `most`.
    pub fn bounded_table(&self, most: usize) -> Read<Section<'a>> {
        let section = self.table()?;
        self.bounded(section.table.len(), most)?;
        Ok(section)
    }

    fn bounded(&self, count: usize, most: usize) -> Read<()> {
        match count > most {
            true => Err(self.fault(format!("has {count} entries; the limit is {most}"))),
            false => Ok(()),
        }
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'i']) { "an" } else { "a" }
}

/// A text of the file for an error: quoted, cut, and escaped, because it may contain terminal sequences.
pub(super) fn shown(text: &str) -> String {
    format!("\"{}\"", brief(text))
}

fn brief(text: &str) -> String {
    cut(text.escape_debug().to_string(), 60)
}

/// Line and column of a byte, both from 1; columns count characters.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
