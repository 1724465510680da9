//! Parses the tables `[timers.NAME]` of a manifest: commands that run at certain times, with the service's environment.

use std::collections::BTreeMap;

use super::processes::{Processes, check_name};
use super::spanned::{Fault, Item, Placed, Read, shown};
use super::{limits, values};
use crate::plan::{Limits, Seconds};

/// Each is two units of systemd.
const MOST: usize = 20;
const KEYS: &[&str] = &["command", "limits", "schedule", "timeout"];
const A_SCHEDULE: &str = "a calendar event of systemd, like \"hourly\" or \"*-*-* 03:00:00\"";
/// A command that hangs must not keep all later ones from running.
const TIMEOUT: Seconds = Seconds(3600);

/// By name.
pub type Timers = BTreeMap<String, Timer>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// `OnCalendar=` of systemd.
    pub schedule: String,
    pub command: String,
    /// After which a command that still runs is stopped.
    pub timeout: Seconds,
    /// In place of the manifest's `[limits]`, key by key.
    pub limits: Limits,
}

pub(super) fn read(item: &Item<'_>, root_keys: &[&str]) -> Read<Timers> {
    let mut timers = Timers::new();
    for (name, at, item) in item.bounded_table(MOST)?.entries() {
        check_name(name, at, "timers")?;
        let (section, mut timer, mut own) = (item.table()?, (None, None, TIMEOUT), Limits::default());
        for (key, at, item) in section.entries() {
            match key {
                "schedule" => timer.0 = Some(schedule(&item)?),
                "command" => timer.1 = Some(values::command(&item)?),
                "limits" => own = limits::read(&item, root_keys)?,
                "timeout" => timer.2 = values::seconds(&item)?,
                _ => return Err(section.unknown(key, at, KEYS, root_keys)),
            }
        }
        let (Some(schedule), Some(command), timeout) = timer else {
            return Err(item.fault("needs schedule and command"));
        };
        timers.insert(name.to_owned(), Timer { schedule, command, timeout, limits: own });
    }
    Ok(timers)
}

/// Merges an overlay (`over`) with the base, timer by timer.
pub(super) fn merged(under: Option<Placed<Timers>>, over: Option<Placed<Timers>>) -> Option<Placed<Timers>> {
    match (under, over) {
        (Some(mut under), Some(over)) => {
            under.value.extend(over.value);
            Some(Placed { at: over.at, ..under })
        }
        (under, over) => over.or(under),
    }
}

/// The units of a process and of a timer would have one name.
pub(super) fn refuse_names_of(timers: Option<&Placed<Timers>>, processes: Option<&Processes>) -> Read<()> {
    let Some((timers, processes)) = timers.zip(processes) else { return Ok(()) };
    match timers.value.keys().find(|name| processes.contains_key(*name)) {
        Some(name) => {
            Err(Fault { at: timers.at, what: format!("timers and processes both have \"{name}\"") })
        }
        None => Ok(()),
    }
}

/// The characters and words of systemd.time(7). systemd itself has the last word, when the deployment starts.
fn schedule(item: &Item<'_>) -> Read<String> {
    let text = item.string(A_SCHEDULE)?.trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_valid = text.len() <= 100 && (is_shorthand(text) || is_event(&words));
    match is_valid {
        true => Ok(words.join(" ")),
        false if words.len() == 5 && words.iter().all(|word| word.chars().all(is_of_cron)) => {
            let hint = "that looks like a line of cron: 0 3 * * * is \"*-*-* 03:00:00\"";
            Err(item.fault(format!("is {}; expected {A_SCHEDULE}; {hint}", shown(text))))
        }
        false => Err(item.fault(format!("is {}; expected {A_SCHEDULE}", shown(text)))),
    }
}

fn is_of_cron(c: char) -> bool {
    c.is_ascii_digit() || "*/,-".contains(c)
}

fn is_shorthand(text: &str) -> bool {
    const ALL: &[&str] = &[
        "minutely",
        "hourly",
        "daily",
        "weekly",
        "monthly",
        "quarterly",
        "semiannually",
        "yearly",
        "annually",
    ];
    ALL.contains(&text)
}

/// Weekdays, a date, a time and a time zone, each optional, in this order.
fn is_event(words: &[&str]) -> bool {
    let mut rest = words;
    let mut take = |fits: fn(&str) -> bool| match rest.split_first() {
        Some((first, others)) if fits(first) => {
            rest = others;
            true
        }
        _ => false,
    };
    let day = take(is_weekdays);
    let (date, time) = (take(is_date), take(is_time));
    take(is_zone);
    rest.is_empty() && (day || date || time)
}

fn is_weekdays(word: &str) -> bool {
    const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let is_day = |day: &str| {
        let day = day.to_ascii_lowercase();
        day.get(..3).is_some_and(|short| DAYS.contains(&short))
            && day.chars().all(|c| c.is_ascii_alphabetic())
    };
    word.split(',').all(|part| part.split("..").all(is_day))
}

fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split(['-', '~']).collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|part| is_component(part))
}

fn is_time(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|part| is_component(part))
}

/// `*`, `03`, `0..6`, `0/15`, `1,15`.
fn is_component(part: &str) -> bool {
    !part.is_empty()
        && part.chars().all(|c| c.is_ascii_digit() || "*/,.".contains(c))
        && part.chars().any(|c| c.is_ascii_digit() || c == '*')
}

fn is_zone(word: &str) -> bool {
    word == "UTC"
        || word.contains('/') && word.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;

    fn read(schedule: &str) -> Result<String, String> {
        let text = format!("[timers.clean-up]\nschedule = \"{schedule}\"\ncommand = \"node clean.js\"\n");
        let manifest =
            Manifest::parse("bootagent.toml", &text, None, &[]).map_err(|error| error.to_string())?;
        Ok(manifest.timers["clean-up"].schedule.clone())
    }

    #[test]
    fn calendar_events_of_systemd_are_read() {
        for text in [
            "hourly",
            "*-*-* 03:00:00",
            "Mon..Fri 08:30",
            "Sat,Sun *-*-* 10:00",
            "*:0/15",
            "*-*-01 04:00 Europe/Berlin",
            "02-29",
            "Thursday",
            "2030-01-01 00:00:00 UTC",
            "*-*~01 00:00",
        ] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "often", "03:00:00 daily", "*-*-* 03:00\\nX=1", "%h", "every hour", "25"] {
            assert!(read(text).unwrap_err().contains("expected a calendar event"), "{text}");
        }
        assert!(read("0 3 * * *").unwrap_err().contains("looks like a line of cron"));
    }

    #[test]
    fn a_timer_needs_a_schedule_and_a_command() {
        for (text, says) in [
            ("[timers.x]\nschedule = \"hourly\"", "timers.x needs schedule and command"),
            ("[timers.x]\ncommand = \"node x\"", "timers.x needs schedule and command"),
            ("[timers.X]\nschedule = \"hourly\"\ncommand = \"x\"", "timers has \"X\"; expected a name"),
            ("[timers.x]\nwhen = \"hourly\"", "known here: command, limits, schedule, timeout"),
            ("[timers.x]\ntimeout = 0", "timers.x.timeout is 0"),
        ] {
            let error = Manifest::parse("bootagent.toml", text, None, &[]).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_process_and_a_timer_cannot_have_one_name() {
        let text = "[timers.x]\nschedule = \"hourly\"\ncommand = \"x\"\n[processes.x]\nstart = \"x\"\n";
        let error = Manifest::parse("bootagent.toml", text, None, &[]).unwrap_err().to_string();
        assert!(error.contains("timers and processes both have \"x\""), "{error}");
    }
}
