//! One entry of a lockfile.

use serde_json::{Map, Value};

use super::{Result, for_npm, path, quoted};

/// What a package requires of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Required,
    Optional,
    Development,
    Peer,
    OptionalPeer,
}

impl Kind {
    /// Whether the package works without it.
    pub fn is_optional(self) -> bool {
        matches!(self, Kind::Optional | Kind::OptionalPeer)
    }

    pub fn is_peer(self) -> bool {
        matches!(self, Kind::Peer | Kind::OptionalPeer)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub name: String,
    pub specifier: String,
    pub kind: Kind,
}

/// A package or link. Its fields are read when they are needed; a wrong type there is npm's.
#[derive(Clone, Debug)]
pub struct Entry {
    pub path: String,
    pub fields: Map<String, Value>,
}

impl Entry {
    pub fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key)?.as_str()
    }

    /// npm takes every value that JavaScript counts as true. Only `true` is in lockfiles.
    pub fn is(&self, key: &str) -> bool {
        self.fields.get(key) == Some(&Value::Bool(true))
    }

    pub fn is_link(&self) -> bool {
        self.is("link")
    }

    /// Under this name other packages require it.
    pub fn name(&self) -> Option<&str> {
        path::name(&self.path)
    }

    /// The package's own name, which is another one if it was installed by an alias.
    pub fn package_name(&self) -> &str {
        self.text("name").or(self.name()).unwrap_or_else(|| self.path.rsplit('/').next().unwrap_or_default())
    }

    pub fn bundles(&self) -> bool {
        let list = self.fields.get("bundleDependencies").or_else(|| self.fields.get("bundledDependencies"));
        list.is_some_and(|list| match list {
            Value::Array(names) => !names.is_empty(),
            Value::Bool(all) => *all,
            _ => true,
        })
    }

    /// A value as npm keeps it; `None` if it keeps nothing.
    pub fn plain(&self, key: &str) -> Option<Value> {
        match (key, self.fields.get(key).cloned()?) {
            ("license", value) if value.get("type").is_some() => value.get("type").cloned(),
            ("funding", Value::String(url)) if !url.is_empty() => Some(serde_json::json!({ "url": url })),
            (_, value) => Some(value).filter(|value| !is_empty(value)),
        }
    }

    /// What it requires. Those for development count only of the project and of workspaces. A later kind replaces an
    /// earlier one of the same name, as npm does it.
    pub fn dependencies(&self, is_top: bool, with_peers: bool) -> Result<Vec<Dependency>> {
        let optional_peers = self.optional_peers()?;
        let peers = if with_peers { self.map("peerDependencies")? } else { Vec::new() };
        let peers = peers.into_iter().map(|(name, specifier)| {
            let is_optional = optional_peers.contains(&name);
            (name, specifier, if is_optional { Kind::OptionalPeer } else { Kind::Peer })
        });
        let of =
            |key, kind| Ok(self.map(key)?.into_iter().map(move |(name, specifier)| (name, specifier, kind)));
        let mut all: Vec<Dependency> = Vec::new();
        let development = if is_top { Some(of("devDependencies", Kind::Development)?) } else { None };
        let rest = of("dependencies", Kind::Required)?.chain(of("optionalDependencies", Kind::Optional)?);
        for (name, specifier, kind) in peers.chain(rest).chain(development.into_iter().flatten()) {
            let dependency = Dependency { name, specifier, kind };
            match all.iter_mut().find(|other| other.name == dependency.name) {
                Some(other) => *other = dependency,
                None => all.push(dependency),
            }
        }
        Ok(all)
    }

    fn optional_peers(&self) -> Result<Vec<String>> {
        let Some(all) = self.fields.get("peerDependenciesMeta") else { return Ok(Vec::new()) };
        let Some(all) = all.as_object() else { return self.unusual("peerDependenciesMeta") };
        let is_optional = |meta: &Value| meta.get("optional") == Some(&Value::Bool(true));
        Ok(all.iter().filter(|(_, meta)| is_optional(meta)).map(|(name, _)| name.clone()).collect())
    }

    /// Names with texts, such as `dependencies`; empty if it is absent.
    pub fn map(&self, key: &str) -> Result<Vec<(String, String)>> {
        let Some(all) = self.fields.get(key) else { return Ok(Vec::new()) };
        let Some(all) = all.as_object() else { return self.unusual(key) };
        let texts = all.iter().map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
        match texts.collect() {
            Some(texts) => Ok(texts),
            None => self.unusual(key),
        }
    }

    /// A text or a list of texts, such as `os`; empty if it is absent.
    pub fn list(&self, key: &str) -> Result<Vec<&str>> {
        match self.fields.get(key) {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(all)) => match all.iter().map(Value::as_str).collect() {
                Some(all) => Ok(all),
                None => self.unusual(key),
            },
            Some(_) => self.unusual(key),
        }
    }

    pub fn unusual<T>(&self, key: &str) -> Result<T> {
        let which = if self.path.is_empty() { "the project".to_owned() } else { quoted(&self.path) };
        for_npm(format!("{key} of {which} has an unusual form in the lockfile"))
    }
}

/// What npm leaves out of a lockfile.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}
