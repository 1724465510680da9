//! `bootagent releases`: lists the releases on this machine, with their state. Changes nothing.

use std::path::Path;

use serde::Serialize;

use crate::cli::{Output, ReleasesArgs};
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Facts, Service};
use crate::machine::{self, Check, LocalHost, Observe, Release};
use crate::plan::Action;
use crate::plan::layout::Layout;
use crate::report::print;

const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Listed {
    schema: u32,
    releases: Vec<Line>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    service: Service,
    commit: Commit,
    release: String,
    /// When it was complete, in seconds since 1970.
    finished: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// The unit runs from it.
    Serving,
    /// The unit would run from it, but is not active.
    Stopped,
    /// It was healthy before: a rollback can return to it.
    Kept,
    /// It was started last, and was not healthy.
    Failed,
    /// Complete. No record says that it was ever started.
    Built,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Serving => "serving",
            State::Stopped => "stopped",
            State::Kept => "kept",
            State::Failed => "failed",
            State::Built => "built",
        }
    }
}

pub async fn releases(args: &ReleasesArgs) -> u8 {
    let listed = list().await.and_then(|listed| match args.output {
        Output::Text => Ok(text(&listed)),
        Output::Json => serde_json::to_string_pretty(&listed)
            .map(|text| text + "\n")
            .map_err(|error| Error::new(Code::Bug, "printing the releases", error)),
    });
    match listed.and_then(|text| print(&text)) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

async fn list() -> Result<Listed> {
    let machine = LocalHost::observer();
    super::root_only(&machine, "listing the releases", "run as root: only root can read the records")?;
    let facts = machine.facts(&[]).await?;
    let mut releases = Vec::new();
    for service in &facts.claims {
        for release in machine.releases(service)? {
            let is_current = is_current(&machine, service, &release.path).await?;
            releases.push(line(&facts, service, release, is_current));
        }
    }
    Ok(Listed { schema: SCHEMA, releases })
}

async fn is_current(machine: &impl Observe, service: &Service, release: &Path) -> Result<bool> {
    let (path, target) = (Layout::new(service).current(), release.to_owned());
    let check = machine.check(&Action::SwitchSymlink { path, target, displaces: false }).await?;
    Ok(check == Check::AlreadySo)
}

fn line(facts: &Facts, service: &Service, release: Release, is_current: bool) -> Line {
    let good = facts.good.get(service);
    let is_good = good.is_some_and(|good| good.generation.release == release.path);
    let is_before = good.is_some_and(|good| good.before.as_ref() == Some(&release.path));
    let was_tried = facts.attempted.get(service).is_some_and(|attempt| attempt.release == release.path);
    let state = match (is_current, facts.active.contains(service)) {
        (true, true) if is_good || !was_tried => State::Serving,
        _ if was_tried && !is_good && !is_before => State::Failed,
        (true, true) => State::Serving,
        (true, false) => State::Stopped,
        (false, _) if is_good || is_before => State::Kept,
        (false, _) => State::Built,
    };
    Line {
        service: service.clone(),
        commit: release.commit,
        release: release.path.display().to_string(),
        finished: release.finished,
        state,
    }
}

fn text(listed: &Listed) -> String {
    if listed.releases.is_empty() {
        return "this machine has no release: bootagent run makes the first one\n".to_owned();
    }
    let mut out = String::new();
    for Line { service, commit, finished, state, .. } in &listed.releases {
        let (commit, since) = (commit.short(), machine::utc(*finished));
        out.push_str(&format!("{:8} {commit}  built {since}  {service}\n", state.name()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";
    const BAD: &str = "3333333333333333333333333333333333333333";

    fn facts(active: bool) -> Facts {
        let release = |commit: &str| format!("/opt/x/releases/{commit}-0123456789ab");
        let gate = r#"{"unit":"x.service","probe":{"kind":"alive"},"within":1,"soak":1,"interval_ms":500}"#;
        let good = format!(
            r#"{{"instance":null,"before":"{}","generation":{{"commit":"{NEW}","release":"{}","unit":"","gate":{gate}}}}}"#,
            release(OLD),
            release(NEW)
        );
        let attempt = format!(r#"{{"instance":null,"commit":"{BAD}","release":"{}"}}"#, release(BAD));
        let service = Service::try_from("x").unwrap();
        Facts {
            good: [(service.clone(), serde_json::from_str(&good).unwrap())].into(),
            attempted: [(service.clone(), serde_json::from_str(&attempt).unwrap())].into(),
            active: active.then_some(service).into_iter().collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn the_records_give_each_release_its_state() {
        let state = |commit: &str, current: bool, active: bool| {
            let release = Release {
                commit: Commit::try_from(commit).unwrap(),
                path: format!("/opt/x/releases/{commit}-0123456789ab").into(),
                finished: 0,
            };
            line(&facts(active), &Service::try_from("x").unwrap(), release, current).state
        };
        assert_eq!(state(NEW, true, true), State::Serving);
        assert_eq!(state(NEW, true, false), State::Stopped);
        assert_eq!(state(OLD, false, true), State::Kept);
        assert_eq!(state(BAD, false, true), State::Failed);
        assert_eq!(
            state(BAD, true, false),
            State::Failed,
            "a first release that failed is still the current one"
        );
        assert_eq!(state("4444444444444444444444444444444444444444", false, true), State::Built);
    }
}
