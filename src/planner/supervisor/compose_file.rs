//! The file that docker compose gets, written from what the planner understood of the repository's. It has names of
//! variables and no values: compose takes the values from the environment of the service's unit. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::compose_unit::known_as;
use super::docker::DROPPED;
use super::{App, compose_limits};
use crate::error::{Code, Error, Result};
use crate::planner::runtime::compose::TEST;
use crate::planner::runtime::compose::project::{Given, Health, Member, Mount, Project, Words};
use crate::planner::runtime::compose::template::{self, Piece, Template, Unset, escaped};
use crate::secret::Secret;

/// The bridges of its networks are called `bootagent1` and so on: the rule for IMDS holds for all of them.
const BRIDGE: &str = "bootagent";
/// Of a container's lines, docker keeps no more than this: the journal has them.
const KEPT_LINES: &str = "1m";

/// What a container gets as variables: the service's, without the credentials of registries.
struct Known<'a> {
    app: &'a App<'a>,
    project: &'a Project,
}

impl Known<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let is_login = self.project.logins.values().any(|login| login == name);
        self.app.variables.get(name).filter(|_| !is_login).map(Secret::expose)
    }

    /// Whether it is of the secret, or composed of its values.
    fn is_confidential(&self, name: &str) -> bool {
        let wanted = self.app.wanted;
        wanted.secret.is_some_and(|secret| secret.get(name).is_some())
            || wanted.manifest.env.compose.contains_key(name)
    }

    fn pieces(&self, path: &str, template: &Template) -> Result<Vec<Piece>> {
        template.pieces(&|name| self.value(name)).map_err(|Unset(name)| {
            let cause =
                format!("{path} of {} needs {name}, which the service does not have", self.project.file);
            Error::new(Code::SecretKeyMissing, DOING, cause).remedy(format!(
                "add {name} to the secret or to env.values; if it may be empty, write ${{{name}:-}} in {}",
                self.project.file
            ))
        })
    }
}

/// As compose reads it, with the names that variables have in its environment.
fn written(pieces: &[Piece]) -> String {
    let known = pieces.iter().map(|piece| match piece {
        Piece::Value(name) => Piece::Value(known_as(name).into_owned()),
        Piece::Literal(text) => Piece::Literal(text.clone()),
    });
    template::written(&known.collect::<Vec<_>>())
}

const DOING: &str = "planning what the containers get";

pub fn text(app: &App, project: &Project, port: Option<u16>) -> Result<String> {
    let known = Known { app, project };
    let mut services = Map::new();
    for (name, member) in &project.members {
        services.insert(name.clone(), service(&known, name, member, port)?);
    }
    let names = project.networks.iter().enumerate();
    let networks: Map<String, Value> = names
        .map(|(index, (name, network))| {
            let bridge = json!({ "com.docker.network.bridge.name": format!("{BRIDGE}{}", index + 1) });
            let network =
                json!({ "driver": "bridge", "driver_opts": bridge, "internal": network.is_internal });
            (name.clone(), network)
        })
        .collect();
    let volumes: Map<String, Value> = project.volumes.iter().map(|name| (name.clone(), json!({}))).collect();
    let file = json!({
        "name": app.layout.container(),
        "services": services,
        "networks": networks,
        "volumes": volumes,
    });
    Ok(format!("{file:#}\n"))
}

fn service(known: &Known, name: &str, member: &Member, port: Option<u16>) -> Result<Value> {
    let app = known.app;
    let mut all = member.plain.clone();
    all.entry("init").or_insert(true.into());
    let mut set = |key: &str, value: Value| _ = all.insert(key.to_owned(), value);
    set("image", app.layout.member_image(app.release, name).into());
    set("pull_policy", "never".into());
    // systemd starts all of them again when one ends.
    set("restart", "no".into());
    set("environment", environment(known, name, member, port)?.into_iter().collect());
    for (key, words) in member.words.iter().filter(|(key, _)| *key != TEST) {
        set(key, self::words(known, &format!("services.{name}.{key}"), words)?);
    }
    if let Some(health) = &member.health {
        set("healthcheck", self::health(known, name, member, health)?);
    }
    // `up` leaves it out, and `run` starts it by its name.
    if known.project.once.iter().any(|once| once == name) {
        set("profiles", json!(["once"]));
    }
    set("ports", ports(known.project, member, port));
    set("volumes", member.mounts.iter().filter_map(|mount| mounted(app, mount)).collect());
    set("tmpfs", member.mounts.iter().filter_map(in_memory).collect());
    let needs = member.needs.iter().map(|(name, need)| {
        let mut about = json!({ "condition": need.condition.name() });
        if !need.is_required {
            about["required"] = false.into();
        }
        (name.clone(), about)
    });
    set("depends_on", Value::Object(needs.collect()));
    let aliases: Vec<&String> = member.aliases.iter().collect();
    let networks = member.networks.iter().map(|network| (network.clone(), json!({ "aliases": aliases })));
    set("networks", Value::Object(networks.collect()));
    set("stop_grace_period", format!("{}s", member.grace).into());
    set("security_opt", json!(["no-new-privileges:true"]));
    let drops_all = member.dropped_capabilities.contains("ALL");
    let mut dropped = member.dropped_capabilities.clone();
    dropped.extend(DROPPED.map(str::to_owned));
    set("cap_drop", if drops_all { json!(["ALL"]) } else { json!(dropped) });
    if drops_all {
        set("cap_add", json!(member.added_capabilities));
    }
    set(
        "logging",
        json!({ "driver": "local", "options": { "max-size": KEPT_LINES, "max-file": "1", "compress": "false" } }),
    );
    compose_limits::limit(&app.wanted.selection.limits.of_a_unit(), &mut all);
    Ok(Value::Object(all))
}

/// With `env_file: .env` all of the service's variables, and those of `environment` over them.
fn environment(
    known: &Known,
    name: &str,
    member: &Member,
    port: Option<u16>,
) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    let one = |variable: &str| Value::from(written(&[Piece::Value(variable.to_owned())]));
    if member.has_all_variables {
        for variable in known.app.variables.keys().filter(|variable| known.value(variable).is_some()) {
            all.insert(variable.to_owned(), one(variable));
        }
        // The program listens on the container's port, which may be another one than the machine's.
        all.remove("PORT");
        let own = member.ports.iter().find(|own| own.published == port && port.is_some() && !own.is_udp);
        all.extend(own.map(|own| ("PORT".to_owned(), own.inner.to_string().into())));
    }
    for (variable, given) in &member.environment {
        match given {
            Given::Same if known.value(variable).is_some() => _ = all.insert(variable.clone(), one(variable)),
            Given::Same => _ = all.remove(variable),
            Given::Text(template) => {
                let path = format!("services.{name}.environment.{variable}");
                all.insert(variable.clone(), written(&known.pieces(&path, template)?).into());
            }
        }
    }
    Ok(all)
}

/// Every user of the machine sees the arguments of a process.
fn words(known: &Known, path: &str, words: &Words) -> Result<Value> {
    let one = |template: &Template| -> Result<Value> {
        let pieces = known.pieces(path, template)?;
        let secret = pieces.iter().find_map(|piece| match piece {
            Piece::Value(name) if known.is_confidential(name) => Some(name),
            _ => None,
        });
        match secret {
            None => Ok(written(&pieces).into()),
            Some(name) => {
                let cause = format!(
                    "{path} of {} has {name} of the secret, and every user of the machine can read the arguments of a process",
                    known.project.file
                );
                Err(Error::new(Code::ComposeRefused, DOING, cause).remedy(format!(
                    "give {name} by environment; a shell in the container puts it in: [\"sh\", \"-c\", \"... $${name}\"]"
                )))
            }
        }
    };
    match words {
        Words::Line(template) => one(template),
        Words::List(all) => Ok(Value::Array(all.iter().map(one).collect::<Result<Vec<_>>>()?)),
    }
}

fn health(known: &Known, name: &str, member: &Member, health: &Health) -> Result<Value> {
    let mut all = health.plain();
    if let Some(test) = member.words.get(TEST) {
        all.insert("test".to_owned(), words(known, &format!("services.{name}.{TEST}"), test)?);
    }
    Ok(Value::Object(all))
}

/// The service's own port, and those that the manifest lists.
fn ports(project: &Project, member: &Member, port: Option<u16>) -> Value {
    let all = member.ports.iter().filter_map(|one| {
        let published = one.published.filter(|published| {
            (Some(*published) == port && !one.is_udp) || project.also_published.contains(published)
        })?;
        let mut entry = json!({
            "target": one.inner,
            "published": published.to_string(),
            "protocol": if one.is_udp { "udp" } else { "tcp" },
        });
        if let (Some(address), Some(entry)) = (&one.address, entry.as_object_mut()) {
            entry.insert("host_ip".to_owned(), address.as_str().into());
        }
        Some(entry)
    });
    all.collect()
}

fn mounted(app: &App, mount: &Mount) -> Option<Value> {
    match mount {
        Mount::Volume { name, target, is_read_only } => Some(json!({
            "type": "volume", "source": name, "target": target, "read_only": is_read_only,
        })),
        Mount::Own { target } => Some(json!({ "type": "volume", "target": target })),
        Mount::Release { path, target } => {
            let source = escaped(&app.release.join(path).display().to_string());
            // What is not there is an error, and not an empty directory of root.
            let bind = json!({ "create_host_path": false });
            Some(
                json!({ "type": "bind", "source": source, "target": target, "read_only": true, "bind": bind }),
            )
        }
        Mount::Memory { .. } => None,
    }
}

fn in_memory(mount: &Mount) -> Option<Value> {
    match mount {
        Mount::Memory { target, options } if options.is_empty() => Some(target.as_str().into()),
        Mount::Memory { target, options } => Some(format!("{target}:{options}").into()),
        _ => None,
    }
}
