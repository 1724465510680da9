//! What a compose file asks for, as far as bootagent carries it out. There is no field for what a container must not get, so
//! nothing made of these values can ask for it. Data only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::template::Template;

/// All containers of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The path of the compose file in the repository.
    pub file: String,
    /// By their names in the file.
    pub members: BTreeMap<String, Member>,
    /// Names of the containers that end before the others start, like a migration: in the order in which they run.
    pub once: Vec<String>,
    pub networks: BTreeMap<String, Network>,
    /// Names of the volumes that docker keeps.
    pub volumes: BTreeSet<String>,
    /// The variables with which the file itself was read. The service's must have the same values.
    pub read_with: BTreeMap<String, Option<String>>,
    /// By the host of a registry: the variable with `user:password` for it. No container gets it.
    pub logins: BTreeMap<String, String>,
    /// The path of docker's client.
    pub docker: PathBuf,
    /// Ports that are published besides the service's own.
    pub also_published: BTreeSet<u16>,
}

/// One container. The file calls it a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub image: Image,
    pub environment: BTreeMap<String, Given>,
    /// Whether it has `env_file: .env`, which stands for the service's variables.
    pub has_all_variables: bool,
    /// `command`, `entrypoint` and the `test` of its health check: texts that no variable of the secret may be in.
    pub words: BTreeMap<String, Words>,
    pub ports: Vec<Port>,
    pub mounts: Vec<Mount>,
    /// Names of the containers that are started before it.
    pub needs: BTreeMap<String, Need>,
    /// The networks, with further names of the container in each.
    pub networks: BTreeSet<String>,
    pub aliases: BTreeSet<String>,
    /// The rest of its health check; none: the file has none, or disables the image's.
    pub health: Option<Health>,
    /// Seconds that it has to end.
    pub grace: u64,
    pub added_capabilities: BTreeSet<String>,
    /// Those of `cap_drop`; `ALL` for all.
    pub dropped_capabilities: BTreeSet<String>,
    /// Keys that stand in the file for compose as they are, without variables.
    pub plain: Map<String, Value>,
}

/// The value of a variable in `environment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    Text(Template),
    /// The variable of the same name, if the service has it.
    Same,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// Compose splits it.
    Line(Template),
    List(Vec<Template>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Of a registry.
    Named(String),
    Built(Build),
}

/// All paths are relative to the release, without `..`; empty: the release itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub context: String,
    /// Relative to the context.
    pub dockerfile: String,
    pub target: Option<String>,
    pub arguments: BTreeMap<String, String>,
    pub needs_buildkit: bool,
}

impl Build {
    /// The path of the Dockerfile in the release.
    pub fn path(&self) -> String {
        match self.context.as_str() {
            "" => self.dockerfile.clone(),
            context => format!("{context}/{}", self.dockerfile),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub inner: u16,
    /// The machine's; none: not published.
    pub published: Option<u16>,
    pub is_udp: bool,
    pub address: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    Volume {
        name: String,
        target: String,
        is_read_only: bool,
    },
    /// A file or directory of the release, read-only.
    Release {
        path: String,
        target: String,
    },
    /// A volume that ends with the container.
    Own {
        target: String,
    },
    Memory {
        target: String,
        options: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub condition: Condition,
    /// Whether the container waits for ever, or fails, if the other one does not get there.
    pub is_required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Started,
    Healthy,
    /// It has ended with status 0.
    Completed,
}

impl Condition {
    pub fn name(self) -> &'static str {
        match self {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Disabled,
    /// Its `test` is among the words.
    Checked(Map<String, Value>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub is_internal: bool,
}

impl Member {
    /// Whether docker must call it healthy.
    pub fn is_checked(&self) -> bool {
        matches!(self.health, Some(Health::Checked(_)))
    }
}

impl Project {
    /// The containers that run as long as the service.
    pub fn lasting(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter().filter(|(name, _)| !self.once.contains(name))
    }

    /// The machine's ports that the file publishes, each with its container and the port in it.
    pub fn ports(&self) -> impl Iterator<Item = (u16, &str, &Port)> {
        self.lasting().flat_map(|(name, member)| {
            member.ports.iter().filter_map(|port| Some((port.published?, name.as_str(), port)))
        })
    }

    /// Those over TCP.
    pub fn published(&self) -> impl Iterator<Item = (u16, &str, &Port)> {
        self.ports().filter(|(.., port)| !port.is_udp)
    }

    /// Seconds until all have ended, if each takes its whole time.
    pub fn longest_stop(&self) -> u64 {
        longest_stop(&self.members, u64::MAX)
    }
}

/// Seconds until all have ended, if each takes its whole time, but at most `most`: what another one needs ends after it.
pub fn longest_stop(members: &BTreeMap<String, Member>, most: u64) -> u64 {
    let mut ended: BTreeMap<&str, u64> = BTreeMap::new();
    // The longest chain has all of them.
    for _ in members {
        for (name, member) in members {
            let below = member.needs.keys().filter_map(|needed| ended.get(needed.as_str())).max();
            let all = member.grace.min(most).saturating_add(below.copied().unwrap_or_default());
            ended.insert(name, all);
        }
    }
    ended.into_values().max().unwrap_or_default()
}
