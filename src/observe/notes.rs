//! Notes about changed tags and policies. A plain run ignores the change, because the instance is pinned; each note
//! names the command that applies it.

use super::Decision;
use super::compare::{is_commit, is_environment, tag};
use super::policy::{Policy, Sourced};
use crate::facts::Facts;

pub fn notes(facts: &Facts, policy: &Policy, decided: &Decision) -> Vec<String> {
    let service = policy.service().or_else(|| tag(facts, &policy.service_tag()));
    let service = service.filter(|name| name.value != decided.service.as_str());
    let environment = policy.environment().or_else(|| tag(facts, &policy.environment_tag()));
    let environment = environment.filter(|name| !is_environment(policy, &name.value, decided));
    let commit = policy.commit().or_else(|| tag(facts, &policy.commit_tag()));
    let commit = commit.filter(|commit| !is_commit(&commit.value, decided));
    let notes = [
        (service, format!("stays {}", decided.service)),
        (environment, format!("stays in {}", decided.environment)),
        (commit, format!("stays at {}", decided.source.commit.short())),
    ];
    notes.into_iter().filter_map(|(wanted, stays)| Some(note(&wanted?, &stays))).collect()
}

fn note(wanted: &Sourced<String>, stays: &str) -> String {
    let Sourced { value, origin } = wanted;
    format!("{origin} says {}, and this instance {stays}: bootagent update applies it", shown(value))
}

/// The first 40 characters, escaped: a tag may be long, and may contain terminal sequences.
fn shown(value: &str) -> String {
    let head: String = value.chars().take(40).collect();
    let more = if value.chars().count() > 40 { "..." } else { "" };
    format!("{}{more}", head.escape_default())
}
