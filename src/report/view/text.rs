//! The view as text: six lines, and with --steps the steps of the last run. Pure.

use super::{Newer, Serves, View};
use crate::error::ErrorReport;
use crate::facts::{BesidePresent, Watched};
use crate::machine::utc;
use crate::report::ongoing;
use crate::report::status::{Outcome, State, Status, StepReport};

/// The six lines: state, serving commit, last run, pinned commit, next command, logs. Notes follow.
pub fn text(view: &View) -> String {
    let lines = [
        headline(view),
        line("serves", serves(view)),
        line("last run", last_run(view)),
        line("pinned", pinned(view)),
        line("to do", to_do(view)),
        line("look at", look_at(view)),
    ];
    let beside =
        view.serves.iter().flat_map(|serves| &serves.beside).map(|unit| line("beside", beside(unit)));
    let watched = view.watched.iter().flat_map(|watched| watched_lines(watched, view.now));
    let notes = view.last_run.iter().flat_map(|run| &run.notes).map(|note| line("note", note.clone()));
    lines
        .into_iter()
        .chain(beside)
        .chain(watched)
        .chain(notes)
        .map(|line| line.replace('\n', " ") + "\n")
        .collect()
}

fn line(name: &str, value: String) -> String {
    format!("  {name:9} {value}")
}

fn headline(view: &View) -> String {
    let name = |of: Option<String>| of.unwrap_or_else(|| "?".to_owned());
    let service = name(view.service.as_ref().map(ToString::to_string));
    let who = match &view.environment {
        Some(environment) => format!("{service} ({environment})"),
        None => service,
    };
    let mut why = view.why.clone();
    if let (State::Failed, Some(error)) = (view.state, &view.error) {
        why.push(format!("{} [{}]", error.causes.first().unwrap_or(&error.doing), error.code));
    }
    let now = view.last_run.as_ref().filter(|_| view.is_pending);
    why.extend(now.and_then(|run| ongoing::line(&run.waiting, view.now)));
    match why.is_empty() {
        true => format!("{who}: {}", view.state.name()),
        false => format!("{who}: {}: {}", view.state.name(), why.join("; ")),
    }
}

fn serves(view: &View) -> String {
    let Some(serves) = &view.serves else { return "nothing".to_owned() };
    let what = serves.commit.as_ref().map_or("no release", |commit| commit.short());
    if serves.active != "active" {
        let is_there = serves.commit.is_some();
        let current = if is_there { format!(" (current is {what})") } else { String::new() };
        return format!("nothing: the unit is {}{current}", state(&serves.active));
    }
    let since = serves.since.map(|since| format!(" {}", since_then(since, view.now))).unwrap_or_default();
    format!("{what}{since}; {}; {}", serves.detail, restarts(serves, view.now))
}

fn beside(unit: &BesidePresent) -> String {
    let BesidePresent { unit, active, restarts } = unit;
    let restarted = match restarts {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        times => format!(", restarted {times} times"),
    };
    format!("{unit} is {}{restarted}", state(active))
}

/// What is scarce, and the last events.
fn watched_lines(watched: &Watched, now: u64) -> Vec<String> {
    const SHOWN: usize = 3;
    let scarce = watched.warnings.iter().map(|warning| line("warning", warning.clone()));
    let events = watched.events.iter().skip(watched.events.len().saturating_sub(SHOWN));
    let ago = |at: u64| age(now.saturating_sub(at));
    let events = events.map(|event| line("watcher", format!("{} ago: {}", ago(event.at), event.text)));
    scarce.chain(events).collect()
}

fn state(active: &str) -> &str {
    if active.is_empty() { "not there" } else { active }
}

fn restarts(serves: &Serves, now: u64) -> String {
    let last = serves.last_restart.map(|at| format!(", last {} ago", age(now.saturating_sub(at))));
    let last = last.unwrap_or_default();
    match serves.restarts {
        None => "only root can read how often it was restarted".to_owned(),
        Some(0) => "not restarted since its health check".to_owned(),
        Some(1) => format!("restarted once since its health check{last}"),
        Some(times) => format!("restarted {times} times since its health check{last}"),
    }
}

fn since_then(since: u64, now: u64) -> String {
    format!("since {} ({})", utc(since), age(now.saturating_sub(since)))
}

fn last_run(view: &View) -> String {
    let Some(run) = &view.last_run else { return "none in this boot".to_owned() };
    let other = run.service.as_ref().filter(|service| Some(*service) != view.service.as_ref());
    let of = other.map(|service| format!("{service} at ")).unwrap_or_default();
    let wanted = run.commit.as_ref().map_or("no commit yet", |commit| commit.short());
    let wanted = format!("{of}{wanted}");
    let Some(finished) = run.finished else {
        return format!("wants {wanted}, active for {}", age(view.now.saturating_sub(run.started)));
    };
    let took = finished.saturating_sub(run.started);
    let ended = match run.state {
        State::Healthy | State::Warnings | State::Prepared => run.state.name(),
        _ => "failed",
    };
    let ago = age(view.now.saturating_sub(finished));
    let error = run.error.as_ref().map(|error| format!(": {}", short(error))).unwrap_or_default();
    format!("wanted {wanted}: {ended} after {took} s, {ago} ago{error}")
}

fn short(error: &ErrorReport) -> String {
    let causes: Vec<&str> =
        error.causes.iter().flat_map(|cause| cause.lines().take(2)).map(str::trim).collect();
    format!("{}: {} [{}]", error.doing, causes.join(": "), error.code)
}

fn pinned(view: &View) -> String {
    let Some(pinned) = &view.pinned else { return "no commit yet".to_owned() };
    let newer = match &view.newer {
        None => String::new(),
        Some(Newer::None) => ", which is its newest".to_owned(),
        Some(Newer::Commit(commit)) => format!(", which has {} by now", commit.short()),
        Some(Newer::Unknown(error)) => format!(", which cannot be read: {}", short(error)),
    };
    match pinned.is_manifest {
        true => format!("{} of {}{newer}", pinned.commit.short(), pinned.repository),
        false => format!("{} of {} in {}{newer}", pinned.commit.short(), pinned.branch, pinned.repository),
    }
}

/// The error's remedy, or else the next command.
fn to_do(view: &View) -> String {
    if let (Some(error), false) = (&view.error, view.is_pending) {
        return error.remedy.clone();
    }
    let unit = view.unit.as_deref().unwrap_or("the service");
    match view.state {
        State::Booting | State::Updating => "bootagent status --wait follows it".to_owned(),
        State::NotStarted => "bootagent.service starts it at boot; to start it now: bootagent run".to_owned(),
        State::Healthy | State::Warnings => {
            let newest = match &view.pinned {
                Some(pinned) if pinned.is_manifest => format!("the present text of {}", pinned.repository),
                Some(pinned) => format!("the newest commit of {}", pinned.branch),
                None => "the newest commit of the branch".to_owned(),
            };
            format!("nothing; bootagent update takes {newest}")
        }
        State::Prepared => {
            "nothing: the service starts when the instance leaves its warm pool, or on instances of the image"
                .to_owned()
        }
        _ if view.held.is_some() => "bootagent unhold ends the hold".to_owned(),
        _ if view.serves.as_ref().is_some_and(|serves| !serves.by_hand.is_empty()) => {
            "bootagent run restores what the last run installed".to_owned()
        }
        _ => format!("journalctl -u {unit} says why"),
    }
}

fn look_at(view: &View) -> String {
    let beside =
        view.serves.iter().flat_map(|serves| serves.beside.iter().map(|beside| beside.unit.as_str()));
    let units: Vec<&str> = view.unit.as_deref().into_iter().chain(beside).collect();
    let unit = view
        .unit
        .as_ref()
        .map(|_| format!("systemctl status {}; journalctl -u {}; ", units.join(" "), units.join(" -u ")));
    format!("{}journalctl -t bootagent; bootagent status --steps", unit.unwrap_or_default())
}

/// The report of a run on another machine: its end, its first error, notes and steps.
pub fn report(run: &Status, now: u64) -> String {
    let instance = run.instance.as_ref().map_or("an instance", |instance| instance.id.as_str());
    let service = run.service.as_ref().map_or("no service", |service| service.as_str());
    let environment = run.environment.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let commit = run.commit.as_ref().map(|commit| format!(" at {}", commit.short())).unwrap_or_default();
    let ended = run.finished.unwrap_or(run.heartbeat);
    let state = match (run.state, &run.error) {
        // Written before the recovery: the instance was terminated before its run ended.
        (State::Booting, Some(_)) => "FAILED, and the run has no end",
        (state, _) => state.name(),
    };
    let mut lines = vec![
        format!("{instance}: {service}{environment}{commit}: {state}"),
        line(
            "run",
            format!(
                "{}, {} long, {}",
                utc(run.started),
                age(ended.saturating_sub(run.started)),
                since_then(ended, now)
            ),
        ),
    ];
    if let Some(serving) = &run.serving {
        lines.push(line("serves", format!("{} in place of the wanted commit", serving.short())));
    }
    if let Some(error) = &run.error {
        lines.push(line("error", format!("{}: {} [{}]", error.doing, error.causes.join(": "), error.code)));
        lines.push(line("to do", error.remedy.clone()));
    }
    lines.extend(run.notes.iter().map(|note| line("note", note.clone())));
    lines.into_iter().map(|line| line.replace('\n', " ") + "\n").collect::<String>() + &steps(run)
}

/// The text of --steps: the last run's steps, and the last lines of the program that failed.
pub fn steps(run: &Status) -> String {
    let mut lines = vec![String::new()];
    for output in run.error.iter().flat_map(|error| &error.output) {
        lines.push(format!("    {output}"));
    }
    let attempted = run.attempted.as_ref().filter(|attempted| Some(*attempted) != run.passed.as_ref());
    if let Some(attempted) = attempted {
        let passed = run.passed.as_ref().map_or("none yet".to_owned(), ToString::to_string);
        lines.push(line("attempted", format!("{attempted} (last started)")));
        lines.push(line("passed", format!("{passed} (last passed its health check)")));
    }
    lines.extend(run.steps.iter().map(|step| step_line(run, step)));
    lines.join("\n") + "\n"
}

fn step_line(run: &Status, step: &StepReport) -> String {
    let seconds = step.seconds.map_or("      ".to_owned(), |seconds| format!("{seconds:5.1}s"));
    let outcome = match step.outcome {
        Outcome::Running => "...",
        Outcome::Unchanged => "=",
        Outcome::Changed => "+",
        Outcome::Failed => "FAILED",
    };
    let now = run.waiting.iter().find(|waiting| waiting.id == step.id);
    let detail = match step.outcome {
        Outcome::Running => now.and_then(|waiting| waiting.said.as_deref()),
        Outcome::Failed => step.detail.as_deref(),
        Outcome::Unchanged | Outcome::Changed => None,
    };
    let detail = detail.unwrap_or(&step.why).lines().next().unwrap_or_default();
    format!("  {seconds} {outcome:6} {:16} {detail}", step.id)
}

/// A time in its two largest units.
pub fn age(seconds: u64) -> String {
    let units = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let Some(first) = units.iter().position(|(size, _)| seconds >= *size) else { return "0 s".to_owned() };
    let mut left = seconds;
    let mut words = Vec::new();
    for (size, name) in units.iter().skip(first).take(2) {
        if left >= *size {
            words.push(format!("{} {name}", left / size));
            left %= size;
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests;
