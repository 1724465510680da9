//! Where a setting's value comes from, for plans and errors.

use std::fmt;

use crate::error::{Code, Error, Exit};
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Default,
    /// A policy file, by its path.
    File(String),
    /// A flag of an earlier run of this instance, by the path of the record.
    Recorded(String),
    /// A flag of this run.
    Flag,
    /// An instance tag, by its key.
    Tag(String),
    /// The record that pins the instance.
    Decided,
    /// The pin of the fleet memory, by the place of its object.
    Fleet(String),
    /// The operator's manifest, which needs no repository.
    OwnManifest,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => f.write_str(path),
            Origin::Recorded(path) => write!(f, "flag of an earlier run, recorded in {path}"),
            Origin::Flag => f.write_str("flag"),
            Origin::Tag(key) => write!(f, "tag {key}"),
            Origin::Decided => f.write_str("pinned at this instance's first boot"),
            Origin::Fleet(place) => write!(f, "the rollout's pin in {place}"),
            Origin::OwnManifest => f.write_str("the operator's manifest, which needs no repository"),
        }
    }
}

impl Origin {
    /// Adds to the remedy how to correct a value of this origin.
    pub fn remedied(&self, error: Error) -> Error {
        match self {
            Origin::Recorded(_) => {
                let general = error.report().remedy;
                error.remedy(format!(
                    "{general}; to drop a flag that was recorded by mistake: bootagent run --forget-flags"
                ))
            }
            Origin::Fleet(place) if error.code() == Code::CommitNotOnBranch => error
                .because(format!("the commit is the pin in {place}"))
                .remedy("pin a commit of the branch: bootagent rollout; without that object, instances take the branch's newest commit"),
            Origin::Flag if error.code() == Code::PolicyInvalid => {
                error.remedy("correct the flag: bootagent run --help lists them, and docs/reference/policy.md describes each")
            }
            _ => error,
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Sourced<T> {
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: with(self.value), origin: self.origin }
    }

    pub fn is_flag(&self) -> bool {
        self.origin == Origin::Flag
    }
}

impl<T: fmt::Display> Sourced<T> {
    pub fn setting(&self, name: &str) -> Setting {
        Setting { name: name.to_owned(), value: self.value.to_string(), origin: self.origin.to_string() }
    }
}

/// The origins of settings that can cause an error later in the run, when their values are already in use.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<(&'static str, Origin)>);

impl Origins {
    pub fn note<T>(&mut self, name: &'static str, setting: &Sourced<T>) {
        self.0.push((name, setting.origin.clone()));
    }

    /// Adds to an error which of the settings `names` are recorded flags: the user of this run did not type them.
    pub fn explain(&self, error: Error, names: &[&str]) -> Error {
        if !matches!(error.exit(), Exit::Usage | Exit::Refused | Exit::Invalid) {
            return error;
        }
        let recorded =
            |(name, origin): &&(&str, Origin)| names.contains(name) && matches!(origin, Origin::Recorded(_));
        let of_fleet =
            |(name, origin): &&(&str, Origin)| names.contains(name) && matches!(origin, Origin::Fleet(_));
        let error = self.0.iter().find(of_fleet).map_or(error.clone(), |(_, origin)| origin.remedied(error));
        let mut recorded = self.0.iter().filter(recorded).peekable();
        let error = match recorded.peek() {
            Some((_, origin)) => origin.remedied(error),
            None => return error,
        };
        recorded.fold(error, |error, (name, origin)| error.because(format!("{name} is a {origin}")))
    }
}
