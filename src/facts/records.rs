//! What runs leave for later ones: root's own records as plain data, each with the schema that it is written in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Commit, Environment, Gate, Service, Source};
use crate::error::ErrorReport;

/// The schema that this program reads and writes. A record without a number is of schema 1: the first ones had none.
pub const SCHEMA: u32 = 1;

pub fn first_schema() -> u32 {
    1
}

/// A generation that passed its gate, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub instance: Option<String>,
    pub generation: Generation,
    /// The release that passed before it: it is kept, too.
    pub before: Option<PathBuf>,
}

/// A generation that was put to run, and where; whether it passed, its own record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub instance: Option<String>,
    pub commit: Commit,
    pub release: PathBuf,
}

/// Release, unit and gate that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    pub commit: Commit,
    pub release: PathBuf,
    /// The unit file's text.
    pub unit: String,
    pub gate: Gate,
}

impl Generation {
    /// Whose it is, by the name of its unit.
    pub fn service(&self) -> Option<Service> {
        Service::try_from(self.gate.unit.strip_suffix(".service")?).ok()
    }
}

/// All that a kept release is started from, or planned from, without git and without the policy of today.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub instance: Option<String>,
    pub environment: Environment,
    /// Of its entries only the root's.
    pub source: Source,
    /// The secret with the credential that the source was fetched with.
    pub credential: Option<String>,
    /// What the release's content was made by, beside its commit.
    pub recipe: String,
    pub variables: Ingredients,
    pub generation: Generation,
}

/// What a service's environment is made of beside its secret. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredients {
    /// The secret's name; absent where the service has none.
    pub secret: Option<String>,
    /// Names of the refuse list that the manifest allows.
    pub allow: BTreeSet<String>,
    /// The secret goes before these.
    pub under: BTreeMap<String, String>,
    /// Without these it does not start.
    pub required: BTreeSet<String>,
    /// These go before the secret.
    pub over: BTreeMap<String, String>,
    /// Whether the service reads a `.env`.
    pub dotenv: bool,
    /// In which dialect. Records of agents that knew one only do not say it.
    #[serde(default = "first_dialect", skip_serializing_if = "is_first_dialect")]
    pub dialect: String,
}

fn first_dialect() -> String {
    "node".to_owned()
}

fn is_first_dialect(dialect: &str) -> bool {
    dialect == first_dialect()
}

impl Default for Ingredients {
    fn default() -> Self {
        Ingredients {
            secret: None,
            allow: BTreeSet::new(),
            under: BTreeMap::new(),
            required: BTreeSet::new(),
            over: BTreeMap::new(),
            dotenv: false,
            dialect: first_dialect(),
        }
    }
}

/// A deployment that failed in this boot. Root's alone, and gone with the boot: the digest depends on secret bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    #[serde(default = "first_schema")]
    pub schema: u32,
    /// Seconds since 1970.
    pub at: u64,
    pub commit: Commit,
    pub release: PathBuf,
    /// Of the unit and the rendered environment.
    pub digest: String,
    pub error: ErrorReport,
}

/// Why a record that is there cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unusable {
    Unreadable(String),
    /// A newer program wrote it, in this schema.
    Newer(u32),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Unreadable(why) => f.write_str(why),
            Unusable::Newer(schema) => {
                write!(f, "a newer bootagent wrote it, in schema {schema}; this one reads schema {SCHEMA}")
            }
        }
    }
}

/// Reads a record of any program's version: what is newer than this one is told from what is broken.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Unusable> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default = "first_schema")]
        schema: u32,
    }
    // Only the place: a library's words repeat what stands there.
    let broken = |error: serde_json::Error| {
        Unusable::Unreadable(format!("it is not a record (line {}, column {})", error.line(), error.column()))
    };
    match serde_json::from_slice::<Head>(text) {
        Ok(Head { schema }) if schema > SCHEMA => Err(Unusable::Newer(schema)),
        _ => serde_json::from_slice(text).map_err(broken),
    }
}

/// What passed last where its own record is lost: of the releases that passed, the one that `current` leads to.
pub fn good_of_kept(kept: &[Kept], current: Option<&Path>) -> Option<Good> {
    let is_current = |kept: &&Kept| Some(kept.generation.release.as_path()) == current;
    let last = kept.iter().find(is_current).or(match kept {
        [only] => Some(only),
        _ => None,
    })?;
    let is_other = |release: &&PathBuf| **release != last.generation.release;
    let before = kept.iter().map(|kept| &kept.generation.release).rfind(is_other).cloned();
    Some(Good {
        schema: SCHEMA,
        instance: last.instance.clone(),
        generation: last.generation.clone(),
        before,
    })
}

/// Services of ours of which the machine shows traces, a unit or releases, and of which there is no record; with the
/// commit that is their current one.
pub type Unrecorded = BTreeMap<Service, Option<Commit>>;

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: &str = r#"{"instance": null, "commit": "0123456789abcdef0123456789abcdef01234567", "release": "/opt/x/releases/y"}"#;

    #[test]
    fn a_record_without_a_number_is_of_the_first_schema() {
        let attempt: Attempt = parse(ATTEMPT.as_bytes()).unwrap();
        assert_eq!(attempt.schema, 1);
        let written = serde_json::to_string(&attempt).unwrap();
        assert!(written.contains("\"schema\":1"), "{written}");
        assert_eq!(parse::<Attempt>(written.as_bytes()), Ok(attempt));
    }

    #[test]
    fn a_newer_schema_is_told_from_a_broken_record() {
        let newer = r#"{"schema": 2, "something": "else"}"#;
        assert_eq!(parse::<Attempt>(newer.as_bytes()), Err(Unusable::Newer(2)));
        for broken in ["", "{", "[]", "{\"schema\": 1}", &ATTEMPT[..60]] {
            let Err(Unusable::Unreadable(why)) = parse::<Attempt>(broken.as_bytes()) else {
                panic!("{broken} was read")
            };
            assert!(why.starts_with("it is not a record (line "), "{why}");
        }
    }
}
