//! What serves at this moment: read from systemd, the records and the service's own port. Nothing here changes anything.

use std::path::Path;

use super::mark::{self, Mark};
use super::{gate, operator, records};
use crate::error::Result;
use crate::facts::{Asked, CRASH_LOOP_SECONDS, Commit, Good, Passed, Present, Service, UnitPresent};
use crate::machine::Health;
use crate::machine::disk::files;
use crate::machine::process::units::UnitState;
use crate::machine::process::{journal, units};
use crate::plan::layout::{self, Layout};

const NOT_PROBED: &str = "not probed: only root sees whose socket answers";

/// `None` where no service of ours stands on this machine, and none is asked for.
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
    Ok(Some(Present {
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

/// The one that the last run was about; but where that does not run and another one of ours does, that one: a switch
/// that failed goes back to it. Else one of ours.
async fn service(asked: &Asked) -> Result<Option<Service>> {
    let claims = records::read()?.claims;
    for service in asked.service.iter().chain(&claims) {
        if units::state(&Layout::new(service).unit()).await?.is_active() {
            return Ok(Some(service.clone()));
        }
    }
    Ok(asked.service.clone().or_else(|| claims.into_iter().next()))
}

/// A record that cannot be read is none. One that came with the AMI is another instance's.
fn good(layout: &Layout, asked: &Asked) -> Option<Good> {
    let bytes = files::read(&layout.good()).ok()??;
    let good: Good = serde_json::from_slice(&bytes).ok()?;
    let is_ours = asked.instance.is_none() || asked.instance == good.instance;
    is_ours.then_some(good)
}

/// A release is named after its commit.
fn commit(release: &Path) -> Option<Commit> {
    let name = release.file_name()?.to_str()?;
    Commit::try_from(name.split('-').next()?.to_owned()).ok()
}

fn read_mark(layout: &Layout) -> Option<Mark> {
    Mark::parse(&files::read(&layout::passed(&layout.unit())).ok()??)
}

/// Everyone sees that there is a mark, and only root what is in it.
fn passed(mark: Option<&Mark>, layout: &Layout) -> Option<Passed> {
    match mark {
        Some(mark) => Some(mark.passed()),
        None => {
            files::exists(&layout::passed(&layout.unit())).unwrap_or(false).then_some(Passed { at: None })
        }
    }
}

async fn probe(asked: &Asked, good: Option<&Good>, root: bool) -> (Option<bool>, String) {
    let Some(gate) = good.map(|good| &good.generation.gate).or(asked.gate.as_ref()) else {
        return (None, "not probed: no health check is known".to_owned());
    };
    if !root {
        return (None, NOT_PROBED.to_owned());
    }
    match gate::probe_once(gate).await {
        Ok(Health::Well(answer)) => (Some(true), answer),
        Ok(Health::Unwell(cause)) => (Some(false), cause),
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
    fn a_release_tells_its_commit() {
        let hex = "51d2aa7d0ecbf3a7ac2e29b8a4a0c8b1a2f3e4d5";
        let release = format!("/opt/x/releases/{hex}-3895b8d15bf9");
        assert_eq!(commit(Path::new(&release)).unwrap().as_str(), hex);
        for other in ["/opt/x/releases/by-hand", "/", "/opt/x/releases/51d2-3895b8d15bf9"] {
            assert_eq!(commit(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_unit_that_was_stopped_is_told_from_one_that_failed() {
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
