//! What tags and policy say by now, and a plain run leaves aside because the instance has chosen: told, with the command
//! that applies it.

use super::Decision;
use super::policy::{Policy, Sourced};
use super::said::{is_commit, is_environment, tag};
use crate::facts::Facts;

pub fn notes(facts: &Facts, policy: &Policy, decided: &Decision) -> Vec<String> {
    let service = policy.service().or_else(|| tag(facts, &policy.service_tag()));
    let service = service.filter(|said| said.value != decided.service.as_str());
    let environment = policy.environment().or_else(|| tag(facts, &policy.environment_tag()));
    let environment = environment.filter(|said| !is_environment(policy, &said.value, decided));
    let commit = policy.commit().or_else(|| tag(facts, &policy.commit_tag()));
    let commit = commit.filter(|said| !is_commit(&said.value, decided));
    let notes = [
        (service, format!("stays {}", decided.service)),
        (environment, format!("stays in {}", decided.environment)),
        (commit, format!("stays at {}", decided.source.commit.short())),
    ];
    notes.into_iter().filter_map(|(said, stays)| Some(note(&said?, &stays))).collect()
}

fn note(said: &Sourced<String>, stays: &str) -> String {
    let Sourced { value, origin } = said;
    format!("{origin} says {}, and this instance {stays}: bootagent update applies it", shown(value))
}

/// Values come from tags: a few characters of them, escaped.
fn shown(value: &str) -> String {
    let head: String = value.chars().take(40).collect();
    let more = if value.chars().count() > 40 { "..." } else { "" };
    format!("{}{more}", head.escape_default())
}
