//! Records that runs write for later runs, as plain data. Only root writes them; each contains its schema number.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Commit, Environment, Gate, Service, Source, ValueFile, ValueSource};
use crate::error::ErrorReport;

/// The schema that this program reads and writes. The first records had no number: they are of schema 1.
pub const SCHEMA: u32 = 1;

pub fn first_schema() -> u32 {
    1
}

/// The last healthy deployment of a service, and the instance on which it was healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub instance: Option<String>,
    pub generation: Generation,
    /// The release of the healthy deployment before this one, which is kept, too.
    pub before: Option<PathBuf>,
}

/// The last started deployment of a service, and its instance. If it became healthy, `Good` names the same release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub instance: Option<String>,
    pub commit: Commit,
    pub release: PathBuf,
}

/// The ports on which a healthy deployment was observed to listen, because none is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listened {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub release: PathBuf,
    pub ports: BTreeSet<u16>,
}

/// A deployment: a release with its unit and its health check, which a switch or a return replaces together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    pub commit: Commit,
    pub release: PathBuf,
    #[serde(flatten)]
    pub runs_by: Supervised,
    pub gate: Gate,
}

impl Generation {
    /// The deployment's service, from the name of its unit.
    pub fn service(&self) -> Option<Service> {
        Service::try_from(self.gate.unit.strip_suffix(".service")?).ok()
    }
}

/// The files with which a supervisor runs a deployment. Records of the first version have only the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervised {
    /// The unit file's text.
    pub unit: String,
    /// Further files, owned by root, which the unit's programs read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ServiceFile>,
    /// Files of the release that the unit reads only when it starts: a change needs a restart, not a reload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<PathBuf>,
    /// How the running unit changes to a new release.
    #[serde(default, skip_serializing_if = "Takes::is_restart")]
    pub takes: Takes,
    /// Further units, which run beside the service's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Companion>,
}

impl Supervised {
    pub fn by_unit(unit: String) -> Self {
        Supervised { unit, ..Supervised::default() }
    }
}

/// A unit of a deployment beside the service's, such as the proxy in front of it. It stays as it is while only the service
/// changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// The id of its steps in a plan.
    pub name: String,
    pub why: String,
    pub unit: String,
    /// The unit file's text.
    pub text: String,
    /// Files that its program reads again at a reload.
    pub files: Vec<ServiceFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFile {
    /// The id of its step in a plan.
    pub name: String,
    pub why: String,
    pub path: PathBuf,
    pub text: String,
}

/// Where unit files are.
const UNITS: &str = "/etc/systemd/system";

impl ServiceFile {
    /// The name of the unit, if the file describes one.
    pub fn unit(&self) -> Option<&str> {
        let is_unit = self.path.parent() == Some(Path::new(UNITS));
        self.path.file_name()?.to_str().filter(|_| is_unit)
    }
}

impl Supervised {
    /// All units of the deployment but the service's own.
    pub fn units_beside(&self) -> impl Iterator<Item = &str> {
        self.beside.iter().map(|companion| companion.unit.as_str()).chain(self.units())
    }

    /// The units of processes and timers, which start and stop with the service's own.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(ServiceFile::unit)
    }

    /// Those of them that run all the time. What a timer runs is started by the timer.
    pub fn started_beside(&self) -> impl Iterator<Item = &str> {
        let has_timer = |unit: &str| {
            let timer = unit.strip_suffix(".service").map(|name| format!("{name}.timer"));
            timer.is_some_and(|timer| self.units().any(|other| other == timer))
        };
        self.units().filter(move |unit| !has_timer(unit))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takes {
    #[default]
    Restart,
    /// The unit's `ExecReload=`, if only the release has changed.
    Reload,
    /// The same, if only the release, the environment and the supervisor's files have changed.
    ReloadOfFiles,
    /// A restart, and only if the unit, its files or what else it reads has changed: its program is not in the release.
    RestartOfFiles,
}

impl Takes {
    fn is_restart(&self) -> bool {
        *self == Takes::Restart
    }
}

/// Everything that is needed to start a kept release, or to plan it again, without git and without the present policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub instance: Option<String>,
    pub environment: Environment,
    /// As [`Source::root`] returns it.
    pub source: Source,
    /// The name of the secret with the git credential that fetched the source.
    pub credential: Option<String>,
    /// A digest of what the release was built from, besides its commit.
    pub recipe: String,
    pub variables: Ingredients,
    pub generation: Generation,
}

/// The release that is part of the machine's image (`bootagent bake`): with it a new instance plans that commit without
/// fetching it. Not of one instance: nothing was ever started from it where it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baked {
    #[serde(default = "first_schema")]
    pub schema: u32,
    pub environment: Environment,
    /// As [`Source::root`] returns it.
    pub source: Source,
    /// The name of the secret with the git credential that fetched the source.
    pub credential: Option<String>,
}

/// Everything that determines a service's variables, besides the secret's content. None of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredients {
    /// The secret's name; none if the service has no secret.
    pub secret: Option<String>,
    /// Further sources, which the secret overrides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ValueSource>,
    /// Values composed of others, as templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compose: BTreeMap<String, String>,
    /// Files made of the variables, besides `.env`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ValueFile>,
    /// Variable names that bootagent refuses by default and that the manifest allows.
    pub allow: BTreeSet<String>,
    /// Variables that the secret overrides.
    pub under: BTreeMap<String, String>,
    /// Variables without which the service is not started.
    pub required: BTreeSet<String>,
    /// Variables that override the secret.
    pub over: BTreeMap<String, String>,
    /// Whether the release gets a `.env`.
    pub dotenv: bool,
    /// The dialect of the `.env`. Records of the first version, which had one dialect, lack it.
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
            sources: Vec::new(),
            compose: BTreeMap::new(),
            files: Vec::new(),
            allow: BTreeSet::new(),
            under: BTreeMap::new(),
            required: BTreeSet::new(),
            over: BTreeMap::new(),
            dotenv: false,
            dialect: first_dialect(),
        }
    }
}

/// A deployment that failed its health check in this boot. The digest depends on secret values: only root can read the
/// record, and it is lost at a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    #[serde(default = "first_schema")]
    pub schema: u32,
    /// Seconds since 1970.
    pub at: u64,
    pub commit: Commit,
    pub release: PathBuf,
    /// A digest of the unit and the environment files.
    pub digest: String,
    pub error: ErrorReport,
}

/// Why an existing record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unusable {
    Unreadable(String),
    /// A newer bootagent wrote it, in this schema.
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

/// Reads a record. The error distinguishes a newer schema from a broken record.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Unusable> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default = "first_schema")]
        schema: u32,
    }
    // Only the place: serde's messages quote the content.
    let broken = |error: serde_json::Error| {
        Unusable::Unreadable(format!("it is not a record (line {}, column {})", error.line(), error.column()))
    };
    match serde_json::from_slice::<Head>(text) {
        Ok(Head { schema }) if schema > SCHEMA => Err(Unusable::Newer(schema)),
        _ => serde_json::from_slice(text).map_err(broken),
    }
}

/// Restores a lost `Good` record from the records of kept releases: the release that `current` points to, or the only
/// one. `None` if neither exists.
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

/// Services with a unit or releases of bootagent but without records; with their current commit, if it is known.
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

    /// As 0.1.0 wrote it: the unit's text, and nothing else of a supervisor.
    const GOOD_0_1_0: &str = r#"{"schema": 1, "instance": "i-1", "before": null, "generation": {
        "commit": "0123456789abcdef0123456789abcdef01234567", "release": "/opt/x/releases/y", "unit": "[Unit]\n",
        "gate": {"unit": "x.service", "probe": {"kind": "tcp", "port": 3000}, "within": 60, "soak": 5, "interval_ms": 500}}}"#;

    #[test]
    fn a_record_of_the_first_version_is_read_and_written_unchanged() {
        let good: Good = parse(GOOD_0_1_0.as_bytes()).unwrap();
        assert_eq!(good.generation.runs_by, Supervised::by_unit("[Unit]\n".to_owned()));
        let written: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&good).unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(GOOD_0_1_0).unwrap());
    }

    #[test]
    fn a_record_keeps_the_supervisor_s_files() {
        let mut good: Good = parse(GOOD_0_1_0.as_bytes()).unwrap();
        let (name, why) = ("ecosystem".to_owned(), "what it runs".to_owned());
        let (path, text) = ("/opt/x/ecosystem.json".into(), "{}".to_owned());
        good.generation.runs_by.files = vec![ServiceFile { name, why, path, text }];
        good.generation.runs_by.reads = vec!["/opt/x/releases/y/z".into()];
        good.generation.runs_by.takes = Takes::Reload;
        let written = serde_json::to_string(&good).unwrap();
        assert_eq!(parse::<Good>(written.as_bytes()), Ok(good));
    }

    #[test]
    fn a_newer_schema_is_not_a_broken_record() {
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
