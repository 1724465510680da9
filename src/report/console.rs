//! Five plain lines: the last thing that whoever can read the instance's console sees.

use super::status::{State, Status};

pub fn lines(status: &Status) -> Vec<String> {
    let text = |of: Option<String>| of.unwrap_or_else(|| "unknown".to_owned());
    let service = text(status.service.as_ref().map(ToString::to_string));
    let environment = text(status.environment.as_ref().map(ToString::to_string));
    let commit = text(status.commit.as_ref().map(|commit| commit.short().to_owned()));
    let seconds = status.finished.unwrap_or(status.heartbeat).saturating_sub(status.started);
    let mut lines = vec![format!(
        "bootagent: {service} ({environment}) is {} at {commit} after {seconds} s",
        status.state.name()
    )];
    match (&status.error, status.state) {
        (Some(error), _) => {
            let cause = error.causes.join(": ");
            lines.push(format!("bootagent: {} while {}", error.code, error.doing));
            lines.push(format!("bootagent: cause: {}", cause.lines().next().unwrap_or_default()));
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
    lines
}
