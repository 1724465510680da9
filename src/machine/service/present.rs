//! What serves now, read from systemd, the records and one probe of the service. Changes nothing.

use std::path::Path;

use super::mark::{self, Mark};
use super::{gate, listened, operator, records};
use crate::error::Result;
use crate::facts::{
    Asked, BesidePresent, CRASH_LOOP_SECONDS, Commit, Good, Passed, Present, Service, UnitPresent,
};
use crate::machine::Health;
use crate::machine::disk::files;
use crate::machine::process::units::UnitState;
use crate::machine::process::{journal, units};
use crate::plan::layout::{self, Layout};

const NOT_PROBED: &str = "not probed: only root can see which process answers";

/// `None` if bootagent has no service on this machine and `asked` names none.
pub async fn present(asked: &Asked, root: bool) -> Result<Option<Present>> {
    let Some(service) = service(asked).await? else { return Ok(None) };
    let layout = Layout::new(&service);
    let state = units::settled(&layout.unit()).await?;
    let good = if root { good(&layout, asked) } else { None };
    let release = files::target(&layout.current()).ok().flatten();
    let mark = if root { read_mark(&layout) } else { None };
    let (answers, detail) = probe(asked, good.as_ref(), root).await;
    let recent = match root && state.restarts > 0 {
        true => journal::recent_restarts(&layout.unit(), CRASH_LOOP_SECONDS).await,
        false => Vec::new(),
    };
    let beside = beside(good.as_ref()).await?;
    Ok(Some(Present {
        beside,
        is_good: good.as_ref().is_some_and(|good| Some(&good.generation.release) == release.as_ref()),
        commit: release.as_deref().and_then(commit),
        passed: passed(mark.as_ref(), &layout),
        restarts: mark::restarts(mark.as_ref(), &state, &recent),
        unit: unit(layout.unit(), state),
        held: if root { operator::held().unwrap_or_default() } else { None },
        by_hand: Vec::new(),
        service,
        release,
        good,
        answers,
        detail,
    }))
}

/// The service of the last run if it is active, else another active service of bootagent: a failed switch to another
/// service returns to the previous one. If none is active, the service of the last run.
async fn service(asked: &Asked) -> Result<Option<Service>> {
    let claims = records::read()?.claims;
    for service in asked.service.iter().chain(&claims) {
        if units::state(&Layout::new(service).unit()).await?.is_active() {
            return Ok(Some(service.clone()));
        }
    }
    Ok(asked.service.clone().or_else(|| claims.into_iter().next()))
}

/// The record of the last healthy deployment; `None` if it cannot be read, or if it is another instance's, from which
/// the AMI was made.
fn good(layout: &Layout, asked: &Asked) -> Option<Good> {
    let bytes = files::read(&layout.good()).ok()??;
    let good: Good = serde_json::from_slice(&bytes).ok()?;
    let is_of_this_instance = asked.instance.is_none() || asked.instance == good.instance;
    is_of_this_instance.then_some(good)
}

/// The units beside the service's, as the record of its deployment names them.
async fn beside(good: Option<&Good>) -> Result<Vec<BesidePresent>> {
    let mut found = Vec::new();
    for unit in good.into_iter().flat_map(|good| good.generation.runs_by.units_beside()) {
        let state = units::state(unit).await?;
        found.push(BesidePresent { unit: unit.to_owned(), active: state.active, restarts: state.restarts });
    }
    Ok(found)
}

/// The commit in the name of a release's directory.
fn commit(release: &Path) -> Option<Commit> {
    let name = release.file_name()?.to_str()?;
    Commit::try_from(name.split('-').next()?.to_owned()).ok()
}

fn read_mark(layout: &Layout) -> Option<Mark> {
    Mark::parse(&files::read(&layout::passed(&layout.unit())).ok()??)
}

/// Only root can read the mark; other users only see that it exists.
fn passed(mark: Option<&Mark>, layout: &Layout) -> Option<Passed> {
    match mark {
        Some(mark) => Some(mark.passed()),
        None => {
            files::exists(&layout::passed(&layout.unit())).unwrap_or(false).then_some(Passed { at: None })
        }
    }
}

async fn probe(asked: &Asked, good: Option<&Good>, root: bool) -> (Option<bool>, String) {
    let generation = good.map(|good| &good.generation);
    let Some(gate) = generation.map(|generation| &generation.gate).or(asked.gate.as_ref()) else {
        return (None, "not probed: no health check is known".to_owned());
    };
    if !root {
        return (None, NOT_PROBED.to_owned());
    }
    let service = generation.and_then(|generation| Some((generation.service()?, generation)));
    let listened = service.map(|(service, of)| listened::read(&Layout::new(&service), &of.release));
    match gate::probe_once(gate, &listened.unwrap_or_default()).await {
        Ok(Health::Healthy(answer)) => (Some(true), answer),
        Ok(Health::Unhealthy(cause)) => (Some(false), cause),
        Err(error) => (Some(false), error.in_public().report().causes.join(": ")),
    }
}

fn unit(name: String, state: UnitState) -> UnitPresent {
    UnitPresent {
        name,
        is_masked: state.load == "masked",
        is_stopped: state.active == "inactive" && matches!(state.result.as_str(), "success" | ""),
        since: state.active_since.filter(|_| state.is_active()),
        active: state.active,
        sub: state.sub,
        invocation: state.invocation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_s_name_has_its_commit() {
        let hex = "51d2aa7d0ecbf3a7ac2e29b8a4a0c8b1a2f3e4d5";
        let release = format!("/opt/x/releases/{hex}-3895b8d15bf9");
        assert_eq!(commit(Path::new(&release)).unwrap().as_str(), hex);
        for other in ["/opt/x/releases/by-hand", "/", "/opt/x/releases/51d2-3895b8d15bf9"] {
            assert_eq!(commit(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_failed_unit_does_not_count_as_stopped() {
        let of = |active: &str, result: &str| {
            let state = UnitState { active: active.into(), result: result.into(), ..UnitState::default() };
            unit("x.service".into(), state).is_stopped
        };
        assert!(of("inactive", "success"));
        for (active, result) in [("failed", "exit-code"), ("active", "success"), ("activating", "exit-code")]
        {
            assert!(!of(active, result), "{active} {result}");
        }
    }
}
