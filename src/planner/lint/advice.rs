//! Lines of bootagent.toml that would make a service's boot better: only what is known, and at most three.

use serde::Serialize;

use super::super::persist;
use super::{Subject, command, health, start, warnings};
use crate::planner::runtime::NODE;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// A line of TOML above the first table.
    pub line: String,
    pub why: String,
}

const MOST: usize = 3;

pub fn advice(subject: &Subject) -> Vec<Advice> {
    let all = [foreground(subject), port(subject), persistent(subject)];
    all.into_iter().flatten().take(MOST).collect()
}

fn advice_of(line: impl Into<String>, why: impl Into<String>) -> Advice {
    Advice { line: line.into(), why: why.into() }
}

/// Instead of a start command that leaves its service in the background.
fn foreground(subject: &Subject) -> Option<Advice> {
    let started = warnings::daemon(&subject.line)?;
    let words: Vec<&str> = subject.line.split_whitespace().collect();
    let file = words.iter().skip_while(|word| **word != "start").nth(1).copied().unwrap_or_default();
    let is_program = |path: &str| [".js", ".cjs", ".mjs"].iter().any(|end| path.ends_with(end));
    let why = "in the foreground: systemd starts it again if it ends";
    match started {
        "forever start" if is_program(file) => {
            Some(advice_of(format!("start = {}", quoted(&format!("node {file}"))?), why))
        }
        "nohup" | "& at its end" => {
            let rest = subject.line.trim_end_matches(['&', ' ']);
            let rest = rest.strip_prefix("nohup ").unwrap_or(rest);
            let is_plain = warnings::daemon(rest).is_none() && !rest.contains(['&', ';', '|', '…']);
            is_plain.then(|| Some(advice_of(format!("start = {}", quoted(rest)?), why)))?
        }
        _ => None,
    }
}

/// A string of TOML.
fn quoted(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}

/// The port that the start command names, else the usual one: the service gets it as PORT.
fn port(subject: &Subject) -> Option<Advice> {
    let health = &subject.manifest.health;
    if health.check.is_some() || health::port(subject).is_some() {
        return None;
    }
    let usual = if subject.recipe.of.name == NODE.name { 3000 } else { 8000 };
    if let Some(published) = published(subject) {
        let why = "the compose file publishes it; the health check asks there";
        return Some(advice_of(format!("port = {published}"), why));
    }
    match command::port(&subject.line) {
        Some(0..1024) => None,
        Some(port) => Some(advice_of(
            format!("port = {port}"),
            "the start command names it; the health check asks there",
        )),
        None if start::is_web(subject) || health.path.is_some() => {
            let why = "the service gets it as PORT, and the health check asks there";
            Some(advice_of(format!("port = {usual}"), why))
        }
        None => Some(advice_of("health.check = \"process\"", "if the service listens on no port")),
    }
}

/// The first port that the containers of a compose file publish, if it needs no leave of the policy.
fn published(subject: &Subject) -> Option<u16> {
    let members = subject.recipe.project()?.members.values();
    let mut ports = members.flat_map(|member| &member.ports).filter(|port| !port.is_udp);
    ports.find_map(|port| port.published).filter(|port| *port >= 1024)
}

/// All that `persist` should name: what it names already, and directories that services write.
fn persistent(subject: &Subject) -> Option<Advice> {
    let (source, manifest) = (subject.tree.source, subject.manifest);
    let missing = persist::written(source, manifest, subject.recipe);
    let names = manifest.persist.iter().map(String::as_str).chain(missing.iter().copied());
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    (!missing.is_empty()).then(|| {
        advice_of(
            format!("persist = [{}]", names.join(", ")),
            "if the service writes there: a release is read-only",
        )
    })
}
