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
    let again = status.retry_at.map(|at| format!("tried again at {} UTC; ", clock(at)));
    let again = again.unwrap_or_default();
    lines.push(format!("bootagent: {again}more in bootagent status and journalctl -t bootagent"));
    lines.iter().map(|line| plain(&line.replace('\n', " "))).collect()
}

/// How a program ended says little without the first thing it said.
fn short(cause: &str) -> String {
    cause.lines().map(str::trim).take(2).collect::<Vec<_>>().join(": ")
}

/// The time of day, of seconds since 1970.
fn clock(at: u64) -> String {
    let second = at % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_told_in_utc() {
        assert_eq!((clock(0).as_str(), clock(1_700_000_000).as_str()), ("00:00:00", "22:13:20"));
        assert_eq!(clock(86_399), "23:59:59");
    }

    #[test]
    fn when_it_is_tried_again_is_in_the_last_line() {
        let mut status = Status::booting(1, "boot".into(), "run".into());
        status.end(State::Failed, 10);
        assert!(!lines(&status).concat().contains("tried again"));
        status.retry_at = Some(3_661);
        assert!(lines(&status).last().unwrap().contains("tried again at 01:01:01 UTC"));
    }
}
