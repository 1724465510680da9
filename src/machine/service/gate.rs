//! The health check of a service. It does not pass because of another process on the port, a single good answer, a
//! service that systemd restarts again and again, or a unit that is only active. It writes the mark of a passed check
//! and changes nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::crash::{self, Seen};
use super::listened;
use super::mark::Mark;
use super::notes;
use super::observation::{Bad, Good, Processes, bad, imds_answers};
use super::observed::list;
use super::probe::probe;
use super::process_unit;
use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::machine::disk::files;
use crate::machine::process::reason;
use crate::machine::process::units::{self, UnitState};
use crate::machine::{Change, Check, Health, budget, now, progress};
use crate::plan::{Gate, HealthWait, Mode, Owner, layout};
use crate::secret::Message;

/// The pause after the first look; each further one is an eighth longer, up to the gate's interval. So a service that is ready after
/// a second is seen as such within a sixth of a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// `AlreadySo` if the unit's current process has passed the check before and one more probe is good.
pub async fn check(wait: &HealthWait) -> Result<Check> {
    let gate = &wait.gate;
    let state = units::state(&gate.unit).await?;
    match files::read(&layout::passed(&gate.unit))? {
        Some(passed) if Mark::parse(&passed).is_some_and(|mark| mark.is_of(&state)) => {
            match listening_as_before(probe(gate, &state).await, &wait.listened) {
                Ok(_) => Ok(Check::AlreadySo),
                Err(bad) => Ok(Check::WouldChange(bad.cause.own())),
            }
        }
        _ => Ok(Check::WouldChange("not passed yet".into())),
    }
}

/// One probe, without regard to the mark: a service that systemd restarted since the check may serve again.
/// `listened`: the ports on which the deployment listened when it was healthy, if none is configured.
pub async fn probe_once(gate: &Gate, listened: &BTreeSet<u16>) -> Result<Health> {
    let state = units::settled(&gate.unit).await?;
    Ok(match listening_as_before(probe(gate, &state).await, listened) {
        Ok(good) => Health::Healthy(good.answer),
        Err(bad) => Health::Unhealthy(bad.cause.own()),
    })
}

/// The result, or that the service does not listen any more, as it did when it was healthy.
fn listening_as_before(probed: Result<Good, Bad>, listened: &BTreeSet<u16>) -> Result<Good, Bad> {
    match probed {
        Ok(good) if !good.is_listening && !listened.is_empty() => {
            let (is_one, ports) = (listened.len() == 1, list(listened));
            let ports = if is_one { format!("port {ports}") } else { format!("ports {ports}") };
            let cause = format!("nothing listens; the last healthy deployment listened on {ports}");
            let remedy = "does the service listen, and early enough? If it is not meant to listen any more, set \
                          health.check = \"process\" in bootagent.toml; then: bootagent update";
            Err(Bad { remedy: Some(remedy.to_owned()), ..bad(Fault::HealthNoListener, cause) })
        }
        other => other,
    }
}

/// What reading the service's last lines may take.
const TO_EXPLAIN: Duration = Duration::from_secs(3);

/// A watcher without a program for so long does not start it again. It may be between two starts for a moment.
const ABANDONED: Duration = Duration::from_secs(2);

/// Waits until the service is healthy, and writes the mark. The error has the service's last lines and, if known, the
/// cause.
pub async fn pass(wait: &HealthWait) -> Result<Change> {
    let gate = &wait.gate;
    if check(wait).await? == Check::AlreadySo {
        add_notes(wait, &units::state(&gate.unit).await?);
        return Ok(Change::Unchanged);
    }
    let started = Instant::now();
    let mut seen = Seen::from_now_on();
    let answer = match watch(wait, started, &mut seen).await {
        Ok(answer) => answer,
        Err(error) => {
            seen.units_beside = process_unit::ended(gate).await;
            let error = reason::explained(error, &gate.unit).await;
            return Err(crash::explained(wait, error, &seen).await);
        }
    };
    let state = units::state(&gate.unit).await?;
    add_notes(wait, &state);
    let mark = Mark::of(&state, now()).text();
    files::write(&layout::passed(&gate.unit), mark.as_bytes(), &Owner::root(), Mode(0o600))?;
    // The service is healthy: a full disk, which the next step reports, must not undo it.
    if let Some(Err(error)) = wait.record.as_ref().map(|record| listened::write(record, &state)) {
        let cause = error.in_public().report().causes.join(": ");
        progress::note(format!("the service's ports could not be recorded: {cause}"));
    }
    Ok(Change::Changed(answer))
}

fn add_notes(wait: &HealthWait, state: &UnitState) {
    notes::of(wait, state).into_iter().for_each(progress::note);
}

/// `http://127.0.0.1:3000/health: first 200 after 0.8 s`. The time does not include the soak.
fn first(answer: &str, after: Duration) -> String {
    let after = after.as_secs_f64();
    match answer.split_once(" answered ") {
        Some((url, status)) => format!("{url}: first {status} after {after:.1} s"),
        None => format!("{answer} after {after:.1} s"),
    }
}

/// Probes until the service was good for the whole soak without a break; the first good probe must come within
/// `gate.within`. Records in `seen` what explains a failure.
async fn watch(wait: &HealthWait, started: Instant, seen: &mut Seen) -> Result<String> {
    let gate = &wait.gate;
    let allowed = started + gate.within.duration();
    // Earlier than the run's end, which would say nothing of the service: neither why it is not healthy nor its last lines.
    let run_end = budget::end().and_then(|end| Instant::from_std(end).checked_sub(TO_EXPLAIN));
    let until = run_end.map_or(allowed, |end| allowed.min(end));
    let before = units::state(&gate.unit).await?;
    // Since when the probes are good, and of which processes.
    let mut good: Option<(Instant, Same)> = None;
    // Since when the service listens on other ports only, and with which processes.
    let mut elsewhere: Option<(Instant, Same)> = None;
    // Since when only a watcher is left of the service.
    let mut abandoned: Option<(Instant, Same)> = None;
    // Restarts of processes within the unit (PM2's): the count at the first probe, and since then.
    let mut within_before: Option<u32> = None;
    let mut within = 0;
    let mut looked = 0;
    let mut worst = bad(Fault::HealthNoListener, "it was not healthy for long enough without a break");
    loop {
        let state = units::state(&gate.unit).await?;
        seen.check(&state);
        let restarts = state.restarts.saturating_sub(before.restarts) + within + seen.workers.ended();
        if state.imds_answered && !state.is_active() {
            return Err(refuse(gate, imds_answers(), gate.within.duration()));
        }
        // A unit that is down stays down: systemd does not restart it.
        let too_many = wait.most_restarts.is_some_and(|most| restarts > most);
        if too_many
            && within > 0
            && let Some(bad) = process_unit::most_restarted(gate).await
        {
            return Err(refuse(gate, bad, started.elapsed()));
        }
        if too_many || state.is_down() {
            return Err(crash::ended(wait, &state, restarts, seen));
        }
        let probing = probe(gate, &state);
        let probed = match run_end.filter(|_| good.is_none()) {
            Some(end) => timeout_at(end, probing)
                .await
                .unwrap_or_else(|_| Err(bad(Fault::HealthBadAnswer, "the last probe had no answer yet"))),
            None => probing.await,
        };
        let probed = listening_as_before(probed, &wait.listened);
        let processes = match &probed {
            Ok(good) => good.processes.clone(),
            Err(bad) => bad.processes.clone(),
        };
        if let Some(processes) = &processes {
            within = processes.restarts.saturating_sub(*within_before.get_or_insert(processes.restarts));
        }
        let is_listening = probed.as_ref().is_ok_and(|good| good.is_listening);
        let same = Same::of(&state, is_listening, processes);
        match probed {
            Ok(Good { answer, .. }) => {
                (elsewhere, abandoned) = (None, None);
                let since = since(&mut good, same);
                let first = first(&answer, since.duration_since(started));
                let soak = gate.good_for(is_listening);
                if since.elapsed() >= soak.duration() {
                    return Ok(format!("{first}, stayed healthy for {soak}"));
                }
                progress::say(format!("{first}, watching for {soak}"));
            }
            Err(now) => {
                seen.workers.look(&state);
                // Of a process that only lived, nothing was healthy yet: it may have been on its way to its error.
                worst = match good.take().filter(|(_, same)| same.is_listening) {
                    Some((since, _)) => Bad {
                        fault: if restarts > 0 { Fault::HealthFlapping } else { now.fault },
                        cause: Message::from(format!(
                            "it was healthy for {:.1} s, then: ",
                            since.elapsed().as_secs_f64()
                        ))
                        .and(now.cause),
                        ..now
                    },
                    None => now,
                };
                progress::say(worst.cause.clone());
                if worst.is_final && wait.most_restarts.is_some() {
                    return Err(refuse(gate, worst, started.elapsed()));
                }
                match worst.is_abandoned {
                    true if since(&mut abandoned, same.clone()).elapsed() >= ABANDONED => {
                        return Err(refuse(gate, worst, started.elapsed()));
                    }
                    true => {}
                    false => abandoned = None,
                }
                match worst.is_elsewhere {
                    true => {
                        let time = since(&mut elsewhere, same).elapsed();
                        if wait.elsewhere.is_some_and(|most| time >= most.duration()) {
                            return Err(refuse(gate, worst, time));
                        }
                    }
                    false => elsewhere = None,
                }
            }
        }
        if Instant::now() >= until {
            // A soak that began in time may end after the time limit.
            match &good {
                Some((since, same))
                    if since.elapsed() < gate.good_for(same.is_listening).duration()
                        && Instant::now() < until + gate.good_for(same.is_listening).duration() => {}
                // The probe came between a restart and the next exit: report the exits, not a port without a listener.
                _ if seen.workers.ended() > 0
                    || restarts > 0
                        && matches!(
                            worst.fault,
                            Fault::HealthNoListener | Fault::ServiceExited | Fault::HealthForeign
                        ) =>
                {
                    return Err(crash::ended(wait, &state, restarts, seen));
                }
                _ if until < allowed => return Err(cut_off(gate, worst, started.elapsed())),
                _ => return Err(refuse(gate, worst, gate.within.duration())),
            }
        }
        sleep(pause(gate, looked, good.as_ref())).await;
        looked += 1;
    }
}

/// How long to wait until the next look, after `looked` earlier ones. Short at first, because many services are healthy
/// within a second or two; then the interval, but never beyond the end of the soak.
fn pause(gate: &Gate, looked: u32, good: Option<&(Instant, Same)>) -> Duration {
    let longest = match good {
        Some((since, same)) => gate.good_for(same.is_listening).duration().saturating_sub(since.elapsed()),
        None => (0..looked.min(64)).fold(FIRST_PAUSE, |pause, _| pause + pause / 8),
    };
    Duration::from_millis(gate.interval_ms).min(longest)
}

/// Identifies the service's processes: two equal values mean that no process was replaced in between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Same {
    main_pid: u32,
    restarts: u32,
    /// A service that begins to listen is watched anew: from now on for what it listens on.
    is_listening: bool,
    processes: Option<Processes>,
}

impl Same {
    fn of(state: &UnitState, is_listening: bool, processes: Option<Processes>) -> Same {
        Same { main_pid: state.main_pid, restarts: state.restarts, is_listening, processes }
    }
}

/// Since when the state in `entry` has lasted with the same processes. It begins now if `entry` is empty or has others.
fn since(entry: &mut Option<(Instant, Same)>, now: Same) -> Instant {
    let same = entry.take().filter(|(_, before)| *before == now);
    let since = same.map_or_else(Instant::now, |(since, _)| since);
    *entry = Some((since, now));
    since
}

fn refuse(gate: &Gate, worst: Bad, after: Duration) -> Error {
    let cause = worst.cause.and(format!(" (after {} s)", after.as_secs()));
    let error = worst.fault.error(format!("waiting until {} is healthy", gate.unit), cause);
    worst.remedy.into_iter().fold(error, Error::remedy)
}

/// The run's end came first: the service may have become healthy in its own time.
fn cut_off(gate: &Gate, worst: Bad, after: Duration) -> Error {
    let cause = format!(
        "the run's budget is spent, {} s after the start of the service, which has {} for its first good answer: ",
        after.as_secs(),
        gate.within
    );
    let doing = format!("waiting until {} is healthy", gate.unit);
    let remedy = "does the service say why? If it only needs longer, raise budget in the policy; bootagent status --steps shows \
                  what took the time before";
    let remedy = worst.remedy.unwrap_or_else(|| remedy.to_owned());
    Error::new(Code::Deadline, doing, Message::from(cause).and(worst.cause)).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Probe, Seconds};

    #[test]
    fn the_pauses_grow_to_the_interval_and_end_with_the_soak() {
        let gate = Gate {
            unit: "x.service".into(),
            probe: Probe::Alive,
            also: Vec::new(),
            within: Seconds(60),
            soak: Seconds(1),
            interval_ms: 500,
        };
        let pauses = [0, 1, 2, 10, 20, 1000].map(|looked| pause(&gate, looked, None).as_millis());
        assert_eq!(pauses, [50, 56, 63, 162, 500, 500]);
        let first_second: u128 = (0..10).map(|looked| pause(&gate, looked, None).as_millis()).sum();
        assert!((800..1000).contains(&first_second), "ten looks within a second: {first_second} ms");
        let state = UnitState { main_pid: 17, ..UnitState::default() };
        let good = |since| (since, Same::of(&state, true, None));
        assert_eq!(pause(&gate, 1000, Some(&good(Instant::now()))).as_millis(), 500);
        let begun = Instant::now().checked_sub(Duration::from_millis(900)).unwrap();
        assert!(pause(&gate, 0, Some(&good(begun))).as_millis() <= 100, "the rest of the soak");
    }

    #[test]
    fn a_process_that_is_replaced_within_the_unit_begins_the_soak_anew() {
        let state = UnitState { main_pid: 17, ..UnitState::default() };
        let seen = |restarts, which: &str| {
            Same::of(&state, true, Some(Processes { restarts, which: which.to_owned() }))
        };
        let mut good = None;
        let began = since(&mut good, seen(0, "x 0 pid 20"));
        assert_eq!(since(&mut good, seen(0, "x 0 pid 20")), began);
        assert_ne!(since(&mut good, seen(0, "x 0 pid 21")), began, "another process");
        let later = since(&mut good, seen(0, "x 0 pid 21"));
        assert_ne!(since(&mut good, seen(1, "x 0 pid 21")), later, "a restart");
    }

    #[test]
    fn a_service_that_begins_to_listen_begins_the_soak_anew() {
        let state = UnitState { main_pid: 17, ..UnitState::default() };
        let mut good = None;
        let began = since(&mut good, Same::of(&state, false, None));
        assert_eq!(since(&mut good, Same::of(&state, false, None)), began);
        let listening = since(&mut good, Same::of(&state, true, None));
        assert_ne!(listening, began);
        assert_eq!(since(&mut good, Same::of(&state, true, None)), listening);
    }

    #[test]
    fn a_service_that_listened_before_must_listen_again() {
        let good =
            |is_listening| Ok(Good { answer: "alive as pid 17".to_owned(), is_listening, processes: None });
        assert!(listening_as_before(good(false), &BTreeSet::new()).is_ok());
        assert!(listening_as_before(good(true), &[8080].into()).is_ok());
        let bad = listening_as_before(good(false), &[8080].into()).unwrap_err();
        assert_eq!(bad.cause.own(), "nothing listens; the last healthy deployment listened on port 8080");
        assert!(bad.fault == Fault::HealthNoListener && !bad.is_elsewhere);
    }

    #[test]
    fn the_time_to_the_first_good_answer_excludes_the_soak() {
        let after = Duration::from_millis(840);
        assert_eq!(
            first("http://127.0.0.1:3000/health answered 200", after),
            "http://127.0.0.1:3000/health: first 200 after 0.8 s"
        );
        assert_eq!(first("listening on 127.0.0.1:3000", after), "listening on 127.0.0.1:3000 after 0.8 s");
        assert_eq!(first("alive as pid 17", after), "alive as pid 17 after 0.8 s");
    }
}
