//! What the last run came to, and whether it is still true.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::cli::{self, Output, StatusArgs};
use crate::error::{Code, Error, Result};
use crate::facts::Commit;
use crate::machine::{self, Health, LocalHost, Observe};
use crate::report::status::{Outcome, State, Status};
use crate::report::{self, LivingLine, living_text, print};

/// The contract of the exit status.
const IN_SERVICE: u8 = 0;
const FAILED: u8 = 1;
const NOT_YET: u8 = 3;
pub const DEGRADED: u8 = 4;

/// The status file, with what a look at this moment adds.
#[derive(Serialize)]
struct Seen {
    #[serde(flatten)]
    status: Status,
    /// What the probe said now; absent where nothing could be probed.
    probe: Option<String>,
}

pub async fn status(args: &StatusArgs) -> u8 {
    match look(args).await {
        Ok(seen) => {
            let printed = match args.output {
                Output::Text => print(&text(&seen)),
                Output::Json => json(&seen).and_then(|text| print(&text)),
            };
            printed.map_or_else(|error| super::told(&error), |()| exit(&seen, args.strict))
        }
        Err(error) => super::told(&error),
    }
}

fn json(seen: &Seen) -> Result<String> {
    serde_json::to_string_pretty(seen)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(Code::Bug, "printing the status", error))
}

async fn look(args: &StatusArgs) -> Result<Seen> {
    let machine = LocalHost::bystander();
    let until = Instant::now() + args.timeout.duration();
    let mut living = cli::stderr_is_a_living_terminal().then(LivingLine::default);
    loop {
        let seen = once(&machine).await?;
        let pending = matches!(seen.status.state, State::Booting | State::NotStarted);
        if !args.wait || !pending || Instant::now() >= until {
            return Ok(seen);
        }
        if let Some(living) = &mut living {
            living.show(&progress(&seen.status));
        }
        sleep(Duration::from_millis(300)).await;
    }
}

async fn once(machine: &LocalHost) -> Result<Seen> {
    let Some(mut status) = report::read(machine).await? else {
        let mut status = Status::booting(0, machine::boot_id(), String::new());
        status.state = State::NotStarted;
        return Ok(Seen { status, probe: None });
    };
    if let Some(why) = status.is_orphaned(
        &machine::boot_id(),
        machine::started(status.pid).is_some_and(|ticks| ticks == status.pid_started),
        machine::now(),
    ) {
        status.end_orphaned(Error::new(Code::AgentDied, "booting", why));
    }
    let probe = probe(machine, &mut status).await;
    Ok(Seen { status, probe })
}

/// What the run does at this moment, as it would say itself.
fn progress(status: &Status) -> String {
    match living_text(&status.waiting, machine::now()) {
        Some(line) => format!("{}: {line}", headline(status)),
        None => headline(status),
    }
}

/// A healthy status is a claim about now: it is asked again.
async fn probe(machine: &LocalHost, status: &mut Status) -> Option<String> {
    let gate = status.gate.clone()?;
    if status.state == State::Booting {
        return None;
    }
    if !machine.is_root() {
        return Some("not probed: only root sees whose socket answers".to_owned());
    }
    let said = match machine.probe(&gate).await {
        Ok(Health::Well(answer)) => return Some(answer),
        Ok(Health::Unwell(cause)) => cause,
        Err(error) => error.in_public().report().causes.join(": "),
    };
    if matches!(status.state, State::Healthy | State::Degraded) {
        status.state = State::Failed;
        let unit = status.unit.clone().unwrap_or_default();
        let error = Error::new(Code::HealthBadAnswer, format!("probing {unit} again"), &said)
            .remedy(format!("journalctl -u {unit} tells what happened since the run"));
        status.error = Some(error.report());
    }
    Some(said)
}

fn exit(seen: &Seen, strict: bool) -> u8 {
    match seen.status.state {
        State::Healthy => IN_SERVICE,
        State::Degraded if strict => DEGRADED,
        State::Degraded => IN_SERVICE,
        State::Failed => FAILED,
        State::NotStarted | State::Booting => NOT_YET,
    }
}

fn text(seen: &Seen) -> String {
    let status = &seen.status;
    if status.state == State::NotStarted {
        return "not started: no run in this boot yet\n".to_owned();
    }
    let mut lines = vec![headline(status)];
    if let Some(error) = &status.error {
        lines.push(format!("{error}"));
    }
    let word = |name: &str, value: Option<String>| value.map(|value| format!("  {name:10} {value}"));
    lines.extend(word("commit", status.commit.as_ref().map(ToString::to_string)));
    lines.extend(word(
        "serving",
        status.serving.as_ref().map(|commit| format!("{commit} (the former generation)")),
    ));
    if status.attempted.is_some() && status.attempted != status.passed {
        let commit = |of: &Option<Commit>| of.as_ref().map_or("none yet".to_owned(), ToString::to_string);
        lines.extend(word("attempted", Some(format!("{} (last put to run)", commit(&status.attempted)))));
        lines.extend(word("passed", Some(format!("{} (last passed its gate)", commit(&status.passed)))));
    }
    lines.extend(word(
        "source",
        status.repository.as_ref().map(|at| match &status.branch {
            Some(branch) => format!("{at} ({branch})"),
            None => at.clone(),
        }),
    ));
    lines.extend(word(
        "instance",
        status.instance.as_ref().map(|instance| format!("{} in {}", instance.id, instance.zone)),
    ));
    lines.extend(word("probe", seen.probe.clone()));
    lines.extend(word("now", living_text(&status.waiting, machine::now())));
    for note in &status.notes {
        lines.extend(word("note", Some(note.clone())));
    }
    lines.push(String::new());
    for step in &status.steps {
        let seconds = step.seconds.map_or("      ".to_owned(), |seconds| format!("{seconds:5.1}s"));
        let outcome = match step.outcome {
            Outcome::Running => "...",
            Outcome::Unchanged => "=",
            Outcome::Changed => "+",
            Outcome::Failed => "FAILED",
        };
        let now = status.waiting.iter().find(|waiting| waiting.id == step.id);
        let detail = match step.outcome {
            Outcome::Running => now.and_then(|waiting| waiting.said.as_deref()),
            Outcome::Failed => step.detail.as_deref(),
            Outcome::Unchanged | Outcome::Changed => None,
        };
        let detail = detail.unwrap_or(&step.why);
        lines.push(format!(
            "  {seconds} {outcome:6} {:16} {}",
            step.id,
            detail.lines().next().unwrap_or_default()
        ));
    }
    if let Some(unit) = &status.unit {
        lines.push(String::new());
        lines.push(format!("  systemctl status {unit}; journalctl -u {unit}; journalctl -t bootagent"));
    }
    lines.join("\n") + "\n"
}

fn headline(status: &Status) -> String {
    let name = |of: Option<String>| of.unwrap_or_else(|| "?".to_owned());
    let service = name(status.service.as_ref().map(ToString::to_string));
    let environment = name(status.environment.as_ref().map(ToString::to_string));
    let seconds = status.finished.unwrap_or(status.heartbeat).saturating_sub(status.started);
    format!("{service} ({environment}): {} after {seconds} s", status.state.name())
}
