//! The units beside a service's own: whether each of them runs, and their start. Starts units, and changes nothing else.

use super::observation::{Bad, Good, Processes, bad};
use super::start;
use crate::error::Result;
use crate::fault::Fault;
use crate::machine::now;
use crate::machine::process::exit::Exit;
use crate::machine::process::journal;
use crate::machine::process::units::{self, UnitState};
use crate::plan::{Gate, Probe};

/// Whether the unit's process runs. It names the process and its restarts, so that each restart begins the soak anew.
pub async fn ask(unit: &str) -> Result<Good, Bad> {
    let state = match units::settled(unit).await {
        Ok(state) => state,
        Err(error) => {
            let cause = error.in_public().report().causes.join(": ");
            return Err(bad(Fault::ServiceExited, format!("the state of {unit} cannot be read: {cause}")));
        }
    };
    let which = format!("{unit} pid {}", state.main_pid);
    let processes = Some(Processes { restarts: state.restarts, which });
    match runs(&state) {
        true => Ok(Good { answer: format!("{unit} runs"), is_listening: false, processes }),
        false => Err(Bad {
            processes,
            remedy: Some(remedy(unit)),
            ..bad(Fault::ServiceExited, not_running(unit, &state, last_exit(unit, &state).await))
        }),
    }
}

fn runs(state: &UnitState) -> bool {
    state.is_active() && state.main_pid != 0
}

/// How the last process ended: systemd forgets it when it starts the next one, and the journal does not.
async fn last_exit(unit: &str, state: &UnitState) -> Option<Exit> {
    // The messages of the first moments since then are read, which must not be those of an earlier failure.
    const RECENT: u64 = 2;
    match state.exit {
        None if state.restarts > 0 => {
            Exit::last_in(&journal::systemd_messages(unit, now().saturating_sub(RECENT)).await)
        }
        exit => exit,
    }
}

fn not_running(unit: &str, state: &UnitState, exit: Option<Exit>) -> String {
    let ended = exit.map(|exit| format!(": it ended {}", exit.describe())).unwrap_or_default();
    match state.restarts {
        0 => format!("{unit} is {} ({}){ended}", state.active, state.sub),
        times => format!("{unit} is {} ({}), restarted {times} times{ended}", state.active, state.sub),
    }
}

/// The unit of the gate that ended most often.
pub async fn most_restarted(gate: &Gate) -> Option<Bad> {
    let mut most: Option<(&str, UnitState)> = None;
    for unit in of(gate) {
        let Ok(state) = units::state(unit).await else { continue };
        if state.restarts > most.as_ref().map_or(0, |(_, most)| most.restarts) {
            most = Some((unit, state));
        }
    }
    let (unit, state) = most?;
    let last = last_exit(unit, &state).await.map(|exit| format!(", last {}", exit.describe()));
    let cause = format!("{unit} ended {} times{}", state.restarts, last.unwrap_or_default());
    Some(Bad { remedy: Some(remedy(unit)), ..bad(Fault::ServiceExited, cause) })
}

fn of(gate: &Gate) -> impl Iterator<Item = &str> {
    gate.also.iter().filter_map(|probe| match probe {
        Probe::Unit { unit } => Some(unit.as_str()),
        _ => None,
    })
}

fn remedy(unit: &str) -> String {
    format!("journalctl -u {unit} has its last lines; push a fix, then: bootagent update")
}

/// The processes of several probes as one.
pub fn joined(one: Option<Processes>, other: Option<Processes>) -> Option<Processes> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Processes {
            restarts: one.restarts.saturating_add(other.restarts),
            which: format!("{}, {}", one.which, other.which),
        }),
        (one, other) => one.or(other),
    }
}

/// The first unit that does not run.
pub async fn down(beside: &[String]) -> Result<Option<String>> {
    for unit in beside {
        // Between two starts it is not down: systemd starts it again.
        if units::state(unit).await?.is_down() {
            return Ok(Some(unit.clone()));
        }
    }
    Ok(None)
}

/// Restarts all of them, with the files as they are now.
pub async fn restart(beside: &[String]) -> Result<()> {
    if beside.is_empty() || start::restart_at_once(beside).await? {
        return Ok(());
    }
    // One by one, which finds out which one does not start, and why.
    for unit in beside {
        start::restart(unit).await?;
    }
    Ok(())
}

/// Starts those that are down.
pub async fn start_down(beside: &[String]) -> Result<bool> {
    let mut started = false;
    for unit in beside {
        if units::state(unit).await?.is_down() {
            start::restart(unit).await?;
            started = true;
        }
    }
    Ok(started)
}

/// The gate's units that ended or were restarted: their lines explain a failed health check. Not their invocations: the
/// present one may have printed nothing yet.
pub async fn ended(gate: &Gate) -> Vec<String> {
    let mut ended = Vec::new();
    for unit in of(gate) {
        if let Ok(state) = units::state(unit).await
            && (!runs(&state) || state.restarts > 0)
        {
            ended.push(unit.to_owned());
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_of_all_units_count() {
        let of = |restarts, which: &str| Some(Processes { restarts, which: which.to_owned() });
        assert_eq!(joined(of(1, "a"), of(2, "b")), of(3, "a, b"));
        assert_eq!(joined(None, of(2, "b")), of(2, "b"));
        assert_eq!(joined(of(1, "a"), None), of(1, "a"));
        assert_eq!(joined(None, None), None);
    }

    #[test]
    fn a_unit_that_does_not_run_says_how_it_ended() {
        let state = UnitState {
            active: "activating".into(),
            sub: "auto-restart".into(),
            restarts: 2,
            ..UnitState::default()
        };
        let said = not_running("x.worker.service", &state, Exit::of("1", "3"));
        assert_eq!(
            said,
            "x.worker.service is activating (auto-restart), restarted 2 times: it ended with status 3"
        );
    }
}
