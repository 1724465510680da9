//! Decides the state that `bootagent status` shows, and its reasons, from the last run and the present. Pure.

use super::Seen;
use crate::error::{Code, Error, ErrorReport};
use crate::facts::{Agent, Present};
use crate::report::status::{State, Status};

pub struct Judged {
    pub state: State,
    pub why: Vec<String>,
    pub error: Option<ErrorReport>,
}

/// Whether a run is active. It holds the lock; but a run that has just begun has not written its status yet, and one
/// that is about to end has already written its last.
pub fn goes_on(record: Option<&Status>, agent: Agent) -> bool {
    match (agent, record) {
        (Agent::Lives(pid), Some(record)) => record.pid != pid || record.state == State::Booting,
        (Agent::Lives(_), None) => true,
        // The status of a dead agent was ended before this call.
        (Agent::Gone | Agent::Unknown, record) => record.is_some_and(|record| record.state == State::Booting),
    }
}

pub fn judge(seen: &Seen) -> Judged {
    let present = seen.present.as_ref();
    let error = seen.record.as_ref().and_then(|record| record.error.clone());
    if goes_on(seen.record.as_ref(), seen.agent) {
        return Judged { state: going_on(present), why: silent(seen), error };
    }
    let Some(record) = &seen.record else { return without_a_record(present) };
    // A unit of the service's name that is not bootagent's is not the service.
    let is_taken = error.as_ref().is_some_and(|error| error.code == Code::NameTaken.name());
    let is_foreign = |present: &Present| is_taken && present.good.is_none();
    match present.filter(|present| serves(present) && !is_foreign(present)) {
        Some(present) => serving(record, present, error),
        None => down(record, present, error),
    }
}

/// Whether the service serves. A user who may not probe it sees only whether its unit is active.
fn serves(present: &Present) -> bool {
    present.unit.is_active() && present.answers != Some(false)
}

fn going_on(present: Option<&Present>) -> State {
    let has_passed = |present: &&Present| present.passed.is_some() && serves(present);
    if present.filter(has_passed).is_some() { State::Updating } else { State::Booting }
}

fn silent(seen: &Seen) -> Vec<String> {
    let silence = seen.record.as_ref().and_then(|record| record.silence(seen.now));
    silence
        .map(|silence| format!("the run is active, but reported nothing for {silence} s"))
        .into_iter()
        .collect()
}

/// The state without a status file: no run began in this boot, or its status was lost.
fn without_a_record(present: Option<&Present>) -> Judged {
    match present.filter(|present| present.unit.is_active()) {
        Some(present) => {
            let mut why = vec!["there is no record of a run in this boot".to_owned()];
            why.extend(odd(present));
            match serves(present) {
                true => Judged { state: State::Degraded, why, error: None },
                false => {
                    let error = Some(stopped_serving(present).report());
                    Judged { state: State::Failed, why, error }
                }
            }
        }
        None => Judged { state: State::NotStarted, why: Vec::new(), error: None },
    }
}

/// Reasons why a service that serves is degraded: crash loop, changes by hand, a masked unit, a hold.
fn odd(present: &Present) -> Vec<String> {
    let mut why = Vec::new();
    if present.restarts.is_crash_loop() {
        let recent = present.restarts.recent;
        why.push(format!("systemd restarted it {recent} times within ten minutes"));
    }
    // An operator changed it, or a recovery failed.
    why.extend(present.by_hand.iter().map(|what| format!("not the deployment that was healthy: {what}")));
    if present.unit.is_masked {
        why.push("its unit is masked: it cannot start again".to_owned());
    }
    if let Some(hold) = &present.held {
        let reason = if hold.reason.is_empty() { "no reason given" } else { &hold.reason };
        why.push(format!("held: {reason}"));
    }
    if !present.is_good && present.good.is_some() && present.by_hand.is_empty() {
        why.push("the serving deployment did not pass its health check".to_owned());
    }
    why
}

fn serving(record: &Status, present: &Present, error: Option<ErrorReport>) -> Judged {
    let mut why = odd(present);
    let failed = matches!(record.state, State::Failed | State::Degraded);
    if failed {
        let code = error.as_ref().map(|error| format!(" ({})", error.code)).unwrap_or_default();
        why.push(format!("the last run failed{code}"));
    }
    let state = match (why.is_empty(), record.state) {
        (false, _) => State::Degraded,
        (true, State::Warnings) => {
            why.extend(error.as_ref().map(|error| error.doing.clone()));
            State::Warnings
        }
        (true, _) => State::Healthy,
    };
    // An error of the clean-up does not explain a degraded state, such as a crash loop.
    let error = error.filter(|_| failed || state == State::Warnings);
    Judged { state, why, error }
}

fn down(record: &Status, present: Option<&Present>, error: Option<ErrorReport>) -> Judged {
    if record.state == State::Prepared && present.is_none_or(|present| !present.unit.is_active()) {
        return Judged { state: State::Prepared, why: Vec::new(), error };
    }
    let was_well = matches!(record.state, State::Healthy | State::Warnings | State::Degraded);
    let Some(present) = present.filter(|_| was_well) else {
        return Judged { state: State::Failed, why: Vec::new(), error };
    };
    let now = stopped_serving(present);
    Judged { state: State::Failed, why: Vec::new(), error: Some(now.report()) }
}

/// The error of a service that served when the last run ended, and does not serve now.
fn stopped_serving(present: &Present) -> Error {
    let unit = &present.unit.name;
    let doing = format!("reading the state of {unit}");
    let again =
        format!("bootagent run starts it again; journalctl -u {unit} shows what happened since the run");
    if present.unit.is_masked {
        return Error::new(Code::ServiceStopped, doing, "its unit is masked")
            .remedy(format!("systemctl unmask {unit}, then: bootagent run"));
    }
    if present.unit.is_stopped {
        return Error::new(Code::ServiceStopped, doing, format!("it was stopped: {}", how(present)))
            .remedy(format!("start it with: systemctl start {unit}, or bootagent run"));
    }
    if !present.unit.is_active() {
        return Error::new(Code::ServiceExited, doing, how(present)).remedy(again);
    }
    let doing = format!("probing {unit} again");
    Error::new(Code::HealthBadAnswer, doing, &present.detail)
        .remedy(format!("journalctl -u {unit} shows what happened since the run"))
}

/// The probe's result, which knows more about the reason; without a probe, the unit's state.
fn how(present: &Present) -> String {
    match present.answers {
        Some(false) => present.detail.clone(),
        _ => format!("the unit is {} ({})", present.unit.active, present.unit.sub),
    }
}

#[cfg(test)]
mod tests;
