//! Healthy or not. The gate is not fooled: by somebody else on the port, by one lucky answer, by a
//! service that is restarted again and again, or by a unit that systemd merely calls active.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::mark::Mark;
use super::units::{self, UnitState};
use super::{files, reason, sockets};
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::{Change, Health, Look, now, progress};
use crate::plan::{Gate, Mode, Owner, Probe, layout};

/// One probe may take this long.
const ANSWER: Duration = Duration::from_secs(2);
/// A service may fall over a few times while what it needs comes up; more is a crash loop.
const MOST_RESTARTS: u32 = 3;

/// Why an observation is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bad {
    fault: Fault,
    cause: String,
}

fn bad(fault: Fault, cause: impl Into<String>) -> Bad {
    Bad { fault, cause: cause.into() }
}

/// A gate that was passed, by the unit's very invocation, is passed: one good probe confirms it.
pub async fn look(gate: &Gate) -> Result<Look> {
    let state = units::state(&gate.unit).await?;
    match files::read(&layout::passed(&gate.unit))? {
        Some(passed) if Mark::parse(&passed).is_some_and(|mark| mark.is_of(&state)) => {
            match probe(gate, &state).await {
                Ok(_) => Ok(Look::AlreadySo),
                Err(bad) => Ok(Look::WouldChange(bad.cause)),
            }
        }
        _ => Ok(Look::WouldChange("not passed yet".into())),
    }
}

/// One probe, without a memory: a service that systemd restarted meanwhile may well serve again.
pub async fn probe_once(gate: &Gate) -> Result<Health> {
    let state = units::state(&gate.unit).await?;
    Ok(match probe(gate, &state).await {
        Ok(answer) => Health::Well(answer),
        Err(bad) => Health::Unwell(bad.cause),
    })
}

pub async fn pass(gate: &Gate) -> Result<Change> {
    if look(gate).await? == Look::AlreadySo {
        return Ok(Change::Unchanged);
    }
    let started = Instant::now();
    let mut seen = Vec::new();
    let answer = match watch(gate, started, &mut seen).await {
        Ok(answer) => answer,
        Err(error) => {
            let error = reason::explained(error, &gate.unit).await;
            return Err(error.saying(units::last_lines(&seen).await));
        }
    };
    let state = units::state(&gate.unit).await?;
    let mark = Mark::of(&state, now()).text();
    files::write(&layout::passed(&gate.unit), mark.as_bytes(), &Owner::root(), Mode(0o600))?;
    Ok(Change::Changed(answer))
}

/// `http://127.0.0.1:3000/health: first 200 after 0.8 s`. The soak that follows is no part of that time.
fn first(answer: &str, after: Duration) -> String {
    let after = after.as_secs_f64();
    match answer.split_once(" answered ") {
        Some((url, status)) => format!("{url}: first {status} after {after:.1} s"),
        None => format!("{answer} after {after:.1} s"),
    }
}

/// Good without a break for the whole soak, in time. The unit's invocations are noted in `seen`.
async fn watch(gate: &Gate, started: Instant, seen: &mut Vec<String>) -> Result<String> {
    let until = started + gate.within.duration();
    let before = units::state(&gate.unit).await?;
    // Since when, and as which process, it is good.
    let mut good: Option<(Instant, UnitState)> = None;
    let mut worst = bad(Fault::HealthNoListener, "it was not looked at yet");
    // systemd forgets it when it starts the next process.
    let mut last_exit = None;
    loop {
        let state = units::state(&gate.unit).await?;
        if seen.last() != Some(&state.invocation) {
            seen.push(state.invocation.clone());
        }
        if state.main_pid == 0 {
            last_exit = Some(state.exit_status.clone());
        }
        let restarts = state.restarts.saturating_sub(before.restarts);
        if state.imds_answered && !state.is_active() {
            return Err(refuse(gate, imds_answers()));
        }
        // One that is down nobody starts again.
        if restarts > MOST_RESTARTS || state.is_down() {
            return Err(ended(gate, &state, restarts, last_exit));
        }
        let probed = probe(gate, &state).await;
        let same = |(_, before): &(Instant, UnitState)| {
            before.main_pid == state.main_pid && before.restarts == state.restarts
        };
        match probed {
            Ok(answer) => {
                let (since, _) = match good.take().filter(same) {
                    Some(good) => good,
                    None => (Instant::now(), state.clone()),
                };
                let first = first(&answer, since.duration_since(started));
                if since.elapsed() >= gate.soak.duration() {
                    return Ok(format!("{first}, stayed healthy for {}", gate.soak));
                }
                progress::say(format!("{first}, watching for {}", gate.soak));
                good = Some((since, state.clone()));
            }
            Err(now) => {
                if let Some((since, _)) = good.take() {
                    let cause = format!(
                        "it was well for {:.1} s, then: {}",
                        since.elapsed().as_secs_f64(),
                        now.cause
                    );
                    worst = bad(if restarts > 0 { Fault::HealthFlapping } else { now.fault }, cause);
                } else {
                    worst = now;
                }
                progress::say(&*worst.cause);
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
                    return Err(ended(gate, &state, restarts, last_exit));
                }
                _ => return Err(refuse(gate, worst)),
            }
        }
        sleep(Duration::from_millis(gate.interval_ms)).await;
    }
}

fn refuse(gate: &Gate, worst: Bad) -> Error {
    worst.fault.error(
        format!("waiting until {} is healthy", gate.unit),
        format!("{} (after {})", worst.cause, gate.within),
    )
}

fn imds_answers() -> Bad {
    bad(Fault::ImdsAnswers, units::IMDS_ANSWERS_SERVICE)
}

fn ended(gate: &Gate, state: &UnitState, restarts: u32, last_exit: Option<String>) -> Error {
    let cause = match state.active.as_str() {
        "failed" => format!("the unit failed ({}, exit status {})", state.result, state.exit_status),
        "inactive" => "it ended, and nobody starts it again".to_owned(),
        _ => match last_exit {
            Some(status) => format!("it ended {restarts} times, last with status {status}"),
            None => format!("it ended {restarts} times"),
        },
    };
    Fault::ServiceExited.error(format!("waiting until {} is healthy", gate.unit), cause)
        .remedy(format!(
        "the service ends by itself: journalctl -u {} has its last lines; once a fix is pushed: bootagent run --update",
        gate.unit
    ))
}

/// One observation of the unit and, if there is a port, of who answers on it.
async fn probe(gate: &Gate, state: &UnitState) -> Result<String, Bad> {
    if state.imds_answered && !state.is_active() {
        return Err(imds_answers());
    }
    if !state.is_active() || state.main_pid == 0 {
        return Err(bad(Fault::ServiceExited, format!("the unit is {} ({})", state.active, state.sub)));
    }
    match &gate.probe {
        Probe::Alive => Ok(format!("alive as pid {}", state.main_pid)),
        Probe::Tcp { port } => own_address(*port, state).map(|address| format!("listening on {address}")),
        Probe::Http { port, path, statuses } => {
            let address = own_address(*port, state)?;
            let url = format!("http://{address}{path}");
            let status = ask(url.clone()).await?;
            let good =
                if statuses.is_empty() { (200..300).contains(&status) } else { statuses.contains(&status) };
            match good {
                true => Ok(format!("{url} answered {status}")),
                false => Err(bad(Fault::HealthBadAnswer, format!("{url} answered {status}"))),
            }
        }
    }
}

/// Where one of the unit's own sockets answers. A foreign one that would be given the connection is an error of its own.
fn own_address(port: u16, state: &UnitState) -> Result<SocketAddr, Bad> {
    let listeners = sockets::listeners(port, &state.cgroup);
    if listeners.own.is_empty() && listeners.foreign.is_empty() {
        return Err(bad(Fault::HealthNoListener, elsewhere(port, &sockets::ports_of(&state.cgroup))));
    }
    match listeners.own_address(sockets::has_ipv6_loopback()) {
        Ok(Some(address)) => Ok(address),
        Ok(None) => {
            Err(bad(Fault::HealthForeign, format!("port {port} is held by a process outside the unit")))
        }
        Err(foreign) => {
            let cause = format!(
                "a process outside the unit listens on {}, too: it is given connections for port {port} that are the unit's",
                foreign.address
            );
            Err(bad(Fault::HealthForeign, cause))
        }
    }
}

/// Nobody is on the port: perhaps the service listens, but on others.
fn elsewhere(port: u16, others: &BTreeSet<u16>) -> String {
    const MOST: usize = 5;
    let named: Vec<String> = others.iter().take(MOST).map(u16::to_string).collect();
    match named.is_empty() {
        true => format!("nothing listens on port {port}"),
        false => format!("it listens on {}, not on {port}", named.join(", ")),
    }
}

/// One GET. No redirect is followed: a login page is not health.
async fn ask(url: String) -> Result<u16, Bad> {
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("bootagent")
            .build()
            .into();
        agent.get(&url).call().map(|answer| answer.status().as_u16()).map_err(|error| match error {
            ureq::Error::Timeout(_) => format!("{url}: no good answer within {} s", ANSWER.as_secs()),
            other => format!("{url}: {other}"),
        })
    });
    match asked.await {
        Ok(answer) => answer.map_err(|cause| bad(Fault::HealthBadAnswer, cause)),
        Err(error) => Err(bad(Fault::HealthBadAnswer, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_the_first_good_answer_is_told_without_the_soak() {
        let after = Duration::from_millis(840);
        assert_eq!(
            first("http://127.0.0.1:3000/health answered 200", after),
            "http://127.0.0.1:3000/health: first 200 after 0.8 s"
        );
        assert_eq!(first("listening on 127.0.0.1:3000", after), "listening on 127.0.0.1:3000 after 0.8 s");
        assert_eq!(first("alive as pid 17", after), "alive as pid 17 after 0.8 s");
    }

    #[test]
    fn where_it_listens_instead_is_told() {
        assert_eq!(elsewhere(3000, &[].into()), "nothing listens on port 3000");
        assert_eq!(elsewhere(3000, &[4000].into()), "it listens on 4000, not on 3000");
        assert_eq!(elsewhere(3000, &(1..99).collect()), "it listens on 1, 2, 3, 4, 5, not on 3000");
    }
}
