//! The at most five lines that a run prints last, on the instance's console.

use super::status::{State, Status};
use super::terminal::plain;
use crate::plan::Mark;

const MORE: &str = "more in bootagent status and journalctl -t bootagent";

pub fn lines(status: &Status) -> Vec<String> {
    let mut lines = vec![headline(status)];
    match (&status.error, status.state) {
        (Some(error), _) => {
            let cause = error.causes.join(": ");
            lines.push(format!("bootagent: {} while {}", error.code, error.doing));
            lines.push(format!("bootagent: cause: {}", short(&cause)));
            lines.push(format!("bootagent: remedy: {}", error.remedy.lines().next().unwrap_or_default()));
        }
        (None, State::Healthy) => {
            let passed = status.steps.iter().rev().find(|step| step.mark == Some(Mark::Passed));
            let gate = passed.and_then(|step| step.detail.clone());
            lines.push(format!(
                "bootagent: health check: {}",
                gate.unwrap_or_else(|| "passed in an earlier run, confirmed by one probe".to_owned())
            ));
            let changed = status.steps.iter().filter(|step| step.changed()).count();
            lines.push(format!("bootagent: {changed} of {} steps changed something", status.steps.len()));
        }
        _ => {}
    }
    lines.push(more(status));
    lines.iter().map(|line| plain(&line.replace('\n', " "))).collect()
}

/// The lines without the error, for standard error, where it was printed before.
pub fn brief(status: &Status) -> Vec<String> {
    let code = status.error.as_ref().map(|error| format!(" [{}]", error.code)).unwrap_or_default();
    [headline(status) + &code, more(status)].map(|line| plain(&line.replace('\n', " "))).into()
}

fn headline(status: &Status) -> String {
    let seconds = status.finished.unwrap_or(status.heartbeat).saturating_sub(status.started);
    let serving = status.unit.as_ref().and_then(|unit| unit.strip_suffix(".service"));
    let who = match (&status.service, &status.environment, serving) {
        (Some(service), Some(environment), _) => format!("{service} ({environment})"),
        (_, _, Some(serving)) => serving.to_owned(),
        _ => "an instance without a service".to_owned(),
    };
    let commit = status.commit.as_ref().map(|commit| commit.short());
    let state = status.state.name();
    match (status.state, &status.serving) {
        (State::Degraded, Some(commit_serving)) => {
            let wanted = commit.map(|commit| format!(", {commit} was wanted")).unwrap_or_default();
            // After a failed switch to another service, the serving commit is of the previous service.
            let other =
                serving.filter(|serving| status.service.as_ref().is_some_and(|own| own.as_str() != *serving));
            let of = other.map(|other| format!("{other} at ")).unwrap_or_default();
            let serving = commit_serving.short();
            format!("bootagent: {who} is {state} after {seconds} s: {of}{serving} serves{wanted}")
        }
        _ => {
            let at = commit.map(|commit| format!(" at {commit}")).unwrap_or_default();
            format!("bootagent: {who} is {state}{at} after {seconds} s")
        }
    }
}

/// The first two lines of a cause: how a program ended, and the first line that it printed.
fn short(cause: &str) -> String {
    cause.lines().map(str::trim).take(2).collect::<Vec<_>>().join(": ")
}

fn more(status: &Status) -> String {
    match status.retry_at {
        Some(at) => format!("bootagent: tried again at {} UTC; {MORE}", clock(at)),
        None => format!("bootagent: {MORE}"),
    }
}

/// The time of day in UTC, from seconds since 1970.
fn clock(at: u64) -> String {
    let second = at % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};
    use crate::facts::{Commit, Service};

    fn ended(state: State, change: impl FnOnce(&mut Status)) -> Status {
        let mut status = Status::booting(17, "boot".into(), "run".into());
        status.service = Some(Service::try_from("auth-service").unwrap());
        status.environment = Some("prod".try_into().unwrap());
        status.commit = Some(Commit::try_from("5f0c0000000000000000000000000000000000ff").unwrap());
        status.started = 1000;
        change(&mut status);
        status.end(state, 1012);
        status
    }

    fn failed(status: &mut Status) {
        status.error =
            Some(Error::new(Code::InstallFailed, "running npm ci", "status 1").remedy("mend it").report());
    }

    #[test]
    fn the_first_line_says_what_serves() {
        let healthy = lines(&ended(State::Healthy, |_| {}));
        assert_eq!(healthy[0], "bootagent: auth-service (prod) is healthy at 5f0c00000000 after 12 s");
        assert!(healthy[1].starts_with("bootagent: health check: "), "{}", healthy[1]);
        let warned = lines(&ended(State::Warnings, failed));
        assert!(warned[0].contains("is healthy, with warnings at 5f0c00000000"), "{}", warned[0]);
        let degraded = lines(&ended(State::Degraded, |status| {
            failed(status);
            status.serving = Some(Commit::try_from("51d2aa7d0ecbf3a7ac2e29b8a4a0c8b1a2f3e4d5").unwrap());
        }));
        assert_eq!(
            degraded[0],
            "bootagent: auth-service (prod) is degraded after 12 s: 51d2aa7d0ecb serves, 5f0c00000000 was wanted"
        );
        assert_eq!(lines(&ended(State::Failed, failed)).len(), 5);
    }

    #[test]
    fn the_previous_service_is_named() {
        let degraded = |service: Option<&str>| {
            let status = ended(State::Degraded, |status| {
                failed(status);
                status.service = service.map(|name| Service::try_from(name).unwrap());
                status.unit = Some("auth-service.service".into());
                status.serving = Some(Commit::try_from("51d2aa7d0ecbf3a7ac2e29b8a4a0c8b1a2f3e4d5").unwrap());
            });
            lines(&status)[0].clone()
        };
        assert!(degraded(Some("gmail-service")).contains(": auth-service at 51d2aa7d0ecb serves, "));
        assert!(degraded(Some("auth-service")).contains(": 51d2aa7d0ecb serves, "));
        assert!(degraded(None).starts_with("bootagent: auth-service is degraded"));
    }

    #[test]
    fn brief_lines_do_not_repeat_the_error() {
        let lines = brief(&ended(State::Failed, failed));
        assert_eq!(
            lines[0],
            "bootagent: auth-service (prod) is FAILED at 5f0c00000000 after 12 s [E-INSTALL-FAILED]"
        );
        assert!(lines.len() == 2 && !lines.concat().contains("mend it"));
    }

    #[test]
    fn a_time_of_day_is_in_utc() {
        assert_eq!((clock(0).as_str(), clock(1_700_000_000).as_str()), ("00:00:00", "22:13:20"));
        assert_eq!(clock(86_399), "23:59:59");
    }

    #[test]
    fn the_last_line_has_the_time_of_the_next_try() {
        let mut status = Status::booting(1, "boot".into(), "run".into());
        status.end(State::Failed, 10);
        assert!(!lines(&status).concat().contains("tried again"));
        status.retry_at = Some(3_661);
        assert!(lines(&status).last().unwrap().contains("tried again at 01:01:01 UTC"));
    }
}
