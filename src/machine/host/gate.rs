//! Healthy or not. The gate is not fooled: by somebody else on the port, by one lucky answer, by a
//! service that is restarted again and again, or by a unit that systemd merely calls active.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::crash::{self, Seen};
use super::files;
use super::probe::{self, Bad, bad, imds_answers, probe};
use super::units::{self, UnitState};
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::{Change, Health, Look, progress};
use crate::plan::{Gate, HealthWait, Mode, Owner, layout};
use crate::secret::Message;

/// A gate that was passed, by the unit's very invocation, is passed: one good probe confirms it.
pub async fn look(gate: &Gate) -> Result<Look> {
    let state = units::state(&gate.unit).await?;
    match files::read(&layout::passed(&gate.unit))? {
        Some(passed) if passed == mark(&state).as_bytes() => match probe(gate, &state).await {
            Ok(_) => Ok(Look::AlreadySo),
            Err(bad) => Ok(Look::WouldChange(bad.cause.own())),
        },
        _ => Ok(Look::WouldChange("not passed yet".into())),
    }
}

/// One probe, without a memory: a service that systemd restarted meanwhile may well serve again.
pub async fn probe_once(gate: &Gate) -> Result<Health> {
    let state = units::state(&gate.unit).await?;
    Ok(match probe(gate, &state).await {
        Ok(answer) => Health::Well(answer),
        Err(bad) => Health::Unwell(bad.cause.own()),
    })
}

pub async fn pass(wait: &HealthWait) -> Result<Change> {
    let gate = &wait.gate;
    if look(gate).await? == Look::AlreadySo {
        tell(gate, &units::state(&gate.unit).await?);
        return Ok(Change::Unchanged);
    }
    let started = Instant::now();
    let mut seen = Seen::from_now_on();
    let answer = match watch(wait, started + gate.within.duration(), &mut seen).await {
        Ok(answer) => answer,
        Err(error) => return Err(crash::explained(gate, error, &seen).await),
    };
    let state = units::state(&gate.unit).await?;
    tell(gate, &state);
    files::write(&layout::passed(&gate.unit), mark(&state).as_bytes(), &Owner::root(), Mode(0o600))?;
    Ok(Change::Changed(format!("{answer} after {:.1} s", started.elapsed().as_secs_f64())))
}

fn tell(gate: &Gate, state: &UnitState) {
    if let Some(note) = probe::note(gate, state) {
        progress::note(note);
    }
}

fn mark(state: &UnitState) -> String {
    format!("{} {} {}\n", state.invocation, state.main_pid, state.restarts)
}

/// Good without a break for the whole soak, before `until`. What explains a failure is noted in `seen`.
async fn watch(wait: &HealthWait, until: Instant, seen: &mut Seen) -> Result<String> {
    let gate = &wait.gate;
    let first = units::state(&gate.unit).await?;
    // Since when, and as which process, it is good.
    let mut good: Option<(Instant, UnitState)> = None;
    // Likewise, since when it listens on other ports only.
    let mut elsewhere: Option<(Instant, UnitState)> = None;
    let mut worst = bad(Fault::HealthNoListener, "it was not looked at yet");
    loop {
        let state = units::state(&gate.unit).await?;
        seen.look(&state);
        let restarts = state.restarts.saturating_sub(first.restarts);
        if state.imds_answered && !state.is_active() {
            return Err(refuse(gate, imds_answers(), gate.within.duration()));
        }
        // One that is down nobody starts again.
        if wait.most_restarts.is_some_and(|most| restarts > most) || state.is_down() {
            return Err(crash::ended(gate, &state, restarts, seen.exit));
        }
        match probe(gate, &state).await {
            Ok(answer) => {
                elsewhere = None;
                let since = since(&mut good, &state);
                if since.elapsed() >= gate.soak.duration() {
                    return Ok(answer);
                }
            }
            Err(now) => {
                worst = match good.take() {
                    Some((since, _)) => Bad {
                        fault: if restarts > 0 { Fault::HealthFlapping } else { now.fault },
                        cause: Message::from(format!(
                            "it was well for {:.1} s, then: ",
                            since.elapsed().as_secs_f64()
                        ))
                        .and(now.cause),
                        ..now
                    },
                    None => now,
                };
                progress::say(worst.cause.clone());
                match worst.is_elsewhere {
                    true => {
                        let time = since(&mut elsewhere, &state).elapsed();
                        if wait.elsewhere.is_some_and(|most| time >= most.duration()) {
                            return Err(refuse(gate, worst, time));
                        }
                    }
                    false => elsewhere = None,
                }
            }
        }
        if Instant::now() >= until {
            // A soak that began in time may end a little later than the time to become well.
            match &good {
                Some((since, _))
                    if since.elapsed() < gate.soak.duration()
                        && Instant::now() < until + gate.soak.duration() => {}
                // It was seen between its start and its end: that is no service that is slow to listen.
                _ if restarts > 0
                    && matches!(worst.fault, Fault::HealthNoListener | Fault::ServiceExited) =>
                {
                    return Err(crash::ended(gate, &state, restarts, seen.exit));
                }
                _ => return Err(refuse(gate, worst, gate.within.duration())),
            }
        }
        sleep(Duration::from_millis(gate.interval_ms)).await;
    }
}

/// Since when the same process is so, from now on if it was not, or was another one.
fn since(so: &mut Option<(Instant, UnitState)>, state: &UnitState) -> Instant {
    let same = |(_, before): &(Instant, UnitState)| {
        before.main_pid == state.main_pid && before.restarts == state.restarts
    };
    let since = so.take().filter(same).map_or_else(Instant::now, |(since, _)| since);
    *so = Some((since, state.clone()));
    since
}

fn refuse(gate: &Gate, worst: Bad, after: Duration) -> Error {
    let cause = worst.cause.and(format!(" (after {} s)", after.as_secs()));
    let error = worst.fault.error(format!("waiting until {} is healthy", gate.unit), cause);
    worst.remedy.into_iter().fold(error, Error::remedy)
}
