//! Five plain lines: the last thing that whoever can read the instance's console sees.

use super::status::{State, Status};
use super::terminal::plain;

pub fn lines(status: &Status) -> Vec<String> {
    let seconds = status.finished.unwrap_or(status.heartbeat).saturating_sub(status.started);
    let who = match (&status.service, &status.environment) {
        (Some(service), Some(environment)) => format!("{service} ({environment})"),
        _ => "an instance without a service".to_owned(),
    };
    let at = status.commit.as_ref().map(|commit| format!(" at {}", commit.short())).unwrap_or_default();
    let serving = status.serving.as_ref();
    let serving = serving.map(|commit| format!("; {} serves", commit.short())).unwrap_or_default();
    let state = status.state.name();
    let mut lines = vec![format!("bootagent: {who} is {state}{at} after {seconds} s{serving}")];
    match (&status.error, status.state) {
        (Some(error), _) => {
            let cause = error.causes.join(": ");
            lines.push(format!("bootagent: {} while {}", error.code, error.doing));
            lines.push(format!("bootagent: cause: {}", short(&cause)));
            lines.push(format!("bootagent: remedy: {}", error.remedy.lines().next().unwrap_or_default()));
        }
        (None, State::Healthy) => {
            let gate =
                status.steps.iter().rev().find(|step| step.id == "gate").and_then(|step| step.detail.clone());
            lines.push(format!(
                "bootagent: gate: {}",
                gate.unwrap_or_else(|| "passed before, one probe confirmed it".to_owned())
            ));
            let changed = status.steps.iter().filter(|step| step.changed()).count();
            lines.push(format!("bootagent: {changed} of {} steps changed something", status.steps.len()));
        }
        _ => {}
    }
    lines.push("bootagent: more in bootagent status and journalctl -t bootagent".to_owned());
    lines.iter().map(|line| plain(&line.replace('\n', " "))).collect()
}

/// How a program ended says little without the first thing it said.
fn short(cause: &str) -> String {
    cause.lines().map(str::trim).take(2).collect::<Vec<_>>().join(": ")
}
