//! How the values of a compose file are read: texts with their variables put in, and errors with their place. Pure.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::project::Words;
use super::template::{Piece, Template, Unset};
use crate::error::{Code, Error, Result};
use crate::facts::Source;
use crate::planner::runtime::yaml_tree::Node;
use crate::secret::excerpt;

/// A text with its variables, in bytes.
const LONGEST: usize = 64 << 10;

pub struct Reader<'a> {
    /// The path of the compose file.
    pub file: &'a str,
    pub source: &'a Source,
    /// What may decide what runs: the manifest's public values. Never the secret's.
    pub values: &'a BTreeMap<String, String>,
    /// The variables that were looked for, with what was found.
    pub read_with: RefCell<BTreeMap<String, Option<String>>>,
    pub notes: RefCell<Vec<String>>,
}

/// A value and its place: `services.web.ports`.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub path: &'a str,
    pub node: &'a Node,
}

impl Reader<'_> {
    fn doing(&self) -> String {
        format!("reading {}", self.file)
    }

    /// What compose would carry out, and bootagent does not.
    pub fn refused(&self, path: &str, why: &str, remedy: &str) -> Error {
        let cause = format!("{} {why}", excerpt(path));
        Error::new(Code::ComposeRefused, self.doing(), cause).remedy(remedy)
    }

    pub fn invalid(&self, path: &str, why: &str) -> Error {
        Error::new(Code::ComposeInvalid, self.doing(), format!("{} {why}", excerpt(path)))
    }

    pub fn note(&self, text: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// A text that may have any variable.
    pub fn template(&self, at: At) -> Result<Template> {
        let (Node::Plain(text) | Node::Text(text)) = at.node else {
            return Err(self.invalid(at.path, "is not a text"));
        };
        Template::parse(text).ok_or_else(|| {
            self.invalid(at.path, "is not a valid interpolation: a dollar that is meant is $$")
        })
    }

    /// A text that decides what runs: only the manifest's public values can be in it.
    pub fn text(&self, at: At) -> Result<String> {
        self.put_in(at, &self.template(at)?)
    }

    pub fn put_in(&self, at: At, template: &Template) -> Result<String> {
        let value = |name: &str| {
            let found = self.values.get(name);
            self.read_with.borrow_mut().insert(name.to_owned(), found.cloned());
            found.map(String::as_str)
        };
        let pieces = template.pieces(&value).map_err(|Unset(name)| {
            let why = format!("needs {name}, which is not in env.values of bootagent.toml");
            self.invalid(at.path, &why)
                .remedy(format!("add {name} to env.values, or write a default: ${{{name}:-...}}; a value of the secret cannot decide what runs"))
        })?;
        let mut text = String::new();
        for piece in &pieces {
            text.push_str(match piece {
                Piece::Literal(text) => text,
                Piece::Value(name) => self.values.get(name).map_or("", String::as_str),
            });
            // A short template can name a long value very often.
            if text.len() > LONGEST {
                let why = format!("has more than {LONGEST} bytes with its variables");
                return Err(self.invalid(at.path, &why));
            }
        }
        Ok(text)
    }

    pub fn flag(&self, at: At) -> Result<bool> {
        match self.text(at)?.as_str() {
            "true" | "True" | "TRUE" | "yes" | "on" => Ok(true),
            "false" | "False" | "FALSE" | "no" | "off" => Ok(false),
            _ => Err(self.invalid(at.path, "is not true or false")),
        }
    }

    pub fn number(&self, at: At, most: u64) -> Result<u64> {
        let number = self.text(at)?.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| self.invalid(at.path, &format!("is not a number up to {most}")))
    }

    /// The entries of a mapping, with their places.
    pub fn entries<'n>(&self, at: At<'n>) -> Result<Vec<(String, &'n str, &'n Node)>> {
        match at.node {
            Node::Null => Ok(Vec::new()),
            Node::Map(entries) => Ok(entries
                .iter()
                .map(|(key, node)| {
                    (
                        format!("{}{}{key}", at.path, if at.path.is_empty() { "" } else { "." }),
                        key.as_str(),
                        node,
                    )
                })
                .collect()),
            _ => Err(self.invalid(at.path, "is not a mapping")),
        }
    }

    /// A list, or the single value in place of it.
    pub fn items<'n>(&self, at: At<'n>) -> Result<Vec<(String, &'n Node)>> {
        match at.node {
            Node::Null => Ok(Vec::new()),
            Node::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, node)| (format!("{}[{index}]", at.path), node))
                .collect()),
            node => Ok(vec![(at.path.to_owned(), node)]),
        }
    }

    pub fn texts(&self, at: At) -> Result<Vec<String>> {
        self.items(at)?.iter().map(|(path, node)| self.text(At { path, node })).collect()
    }

    /// A path of the file, relative to its own directory, as a path of the repository. `None` if it leads out of it.
    pub fn inside(&self, path: &str) -> Option<String> {
        let directory = self.file.rsplit_once('/').map_or("", |(directory, _)| directory);
        if path.starts_with(['/', '~']) || path.contains(['\\', '\0', '\n', ':', '$']) || path.len() > 400 {
            return None;
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in directory.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." => _ = parts.pop()?,
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }

    /// Whether the commit has such a file or directory, as far as its entries are known.
    pub fn has(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let is_it = |entry: &str| entry == path || entry.starts_with(&below);
        // Of a commit that comes from a record, only the root's files are known.
        path.is_empty()
            || !self.source.lists_everything()
            || self.source.entries.iter().any(|entry| is_it(&entry.path))
    }
}

/// A name that docker and DNS take.
pub fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// None: the image's own. A variable of the secret is refused later, when the variables are known.
pub fn words(reader: &Reader, at: At) -> Result<Option<Words>> {
    Ok(match at.node {
        Node::Null => None,
        Node::List(_) => {
            let items = reader.items(at)?;
            let all = items.iter().map(|(path, node)| reader.template(At { path, node }));
            Some(Words::List(all.collect::<Result<Vec<Template>>>()?))
        }
        _ => Some(Words::Line(reader.template(at)?)),
    })
}
