//! What the journal has about a unit: its last lines, systemd's messages about it, its restarts, and how many lines
//! journald dropped. Reads only. A journal that cannot be read counts as empty.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::program::{self, tool};
use crate::machine::now;
use crate::secret::{CUT, ForeignText};

/// systemd's messages about the unit since `since` (seconds since 1970), oldest first; empty if the journal has none.
/// `_UID=0` rejects messages that the service logged with a forged `UNIT=`.
pub async fn systemd_messages(unit: &str, since: u64) -> String {
    let (unit, since) = (format!("UNIT={unit}"), format!("--since=@{since}"));
    let line = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=20", &since, "_UID=0", &unit];
    tool(&line, 10).await.map(|output| output.text()).unwrap_or_default()
}

/// The last lines that these invocations of a unit logged or, if they logged nothing, systemd's messages about them.
/// Up to `ENTRIES` lines of the last second are included: a process may log much between the reason and its exit.
pub async fn last_lines(invocations: &[String]) -> Vec<ForeignText> {
    /// A unit that restarts again and again logs the same each time.
    const LATEST: usize = 5;
    let latest = &invocations[invocations.len().saturating_sub(LATEST)..];
    let of_service = of_invocations("_SYSTEMD_INVOCATION_ID", latest);
    let mut lines = read_last(&of_service).await;
    if lines.is_empty() {
        // journald reads a process's output after systemd has learned that the process ended.
        sleep(Duration::from_millis(250)).await;
        lines = read_last(&of_service).await;
    }
    if lines.is_empty() {
        // Every process can set this field, so only messages of PID 1 are taken.
        let of_systemd = of_invocations("INVOCATION_ID", latest);
        lines = read_last(&[of_systemd, vec!["_PID=1".to_owned()]].concat()).await;
    }
    lines
}

/// The last lines of these units since a time (seconds since 1970), by the field that journald itself sets.
pub async fn lines_of(units: &[String], since: u64) -> Vec<ForeignText> {
    if units.is_empty() {
        return Vec::new();
    }
    let of_units = units.iter().map(|unit| format!("_SYSTEMD_UNIT={unit}"));
    read(&of_units.chain([format!("--since=@{since}")]).collect::<Vec<_>>()).await
}

fn of_invocations(field: &str, invocations: &[String]) -> Vec<String> {
    invocations.iter().filter(|id| !id.is_empty()).map(|id| format!("{field}={id}")).collect()
}

/// The last entries that match. Without an invocation there are none: journalctl would print the whole journal.
async fn read_last(matches: &[String]) -> Vec<ForeignText> {
    match matches.iter().any(|part| part.contains("INVOCATION_ID=")) {
        true => read(matches).await,
        false => Vec::new(),
    }
}

async fn read(matches: &[String]) -> Vec<ForeignText> {
    const MAX_BYTES: usize = 4 << 20;
    let count = format!("--lines={ENTRIES}");
    let mut line = vec!["journalctl", "--quiet", "--no-pager", "--all", "--output=json", FIELDS, &count];
    line.extend(matches.iter().map(String::as_str));
    let output = program::run(&line, None, Duration::from_secs(8), MAX_BYTES).await;
    output.map(|output| joined_lines(&output.text())).unwrap_or_default()
}

/// How many lines of a unit journald dropped since `since` (seconds since 1970) because of its rate limit.
pub async fn dropped(unit: &str, since: u64) -> u64 {
    // SD_MESSAGE_JOURNAL_DROPPED.
    const DROPPED: &str = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e";
    let since = format!("--since=@{since}");
    // Only journald's own messages have the transport "driver": a service cannot forge them.
    let line = ["journalctl", "--quiet", "--no-pager", "--output=cat", &since, DROPPED, "_TRANSPORT=driver"];
    tool(&line, 8).await.map(|output| count_dropped(&output.text(), unit)).unwrap_or_default()
}

/// The messages are like `Suppressed 1234 messages from auth-service.service`.
fn count_dropped(messages: &str, unit: &str) -> u64 {
    let of_unit = messages.lines().filter_map(|line| {
        let (count, from) = line.strip_prefix("Suppressed ")?.split_once(" messages from ")?;
        (from.trim_end_matches('.').rsplit('/').next() == Some(unit)).then_some(count)
    });
    of_unit.filter_map(|count| count.parse::<u64>().ok()).sum()
}

/// When systemd restarted the unit during the last `seconds`: times in seconds since 1970, at most 50.
pub async fn recent_restarts(unit: &str, seconds: u64) -> Vec<u64> {
    // SD_MESSAGE_UNIT_RESTART_SCHEDULED; `_PID=1` rejects a service's forgeries.
    const SCHEDULED: &str = "MESSAGE_ID=5eb03494b6584870a536b337290809b3";
    let since = format!("--since=@{}", now().saturating_sub(seconds));
    let unit = format!("UNIT={unit}");
    let line = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--output=json",
        "--output-fields=UNIT",
        "--lines=50",
        &since,
        "_PID=1",
        SCHEDULED,
        &unit,
    ];
    tool(&line, 10).await.map(|output| times(&output.text())).unwrap_or_default()
}

fn times(entries: &str) -> Vec<u64> {
    #[derive(Deserialize)]
    struct Stamped {
        #[serde(rename = "__REALTIME_TIMESTAMP")]
        microseconds: String,
    }
    let read = |entry: &str| {
        serde_json::from_str::<Stamped>(entry).ok()?.microseconds.parse::<u64>().ok().map(|at| at / 1_000_000)
    };
    entries.lines().filter_map(read).collect()
}

/// At most so many entries are read.
const ENTRIES: usize = 2000;
/// So many entries are shown even if they are older than the last second.
const SHOWN: usize = 60;
const FIELDS: &str = "--output-fields=MESSAGE,_LINE_BREAK";

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "MESSAGE")]
    message: Text,
    #[serde(rename = "_LINE_BREAK", default)]
    line_break: String,
    /// Microseconds since 1970.
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    at: String,
}

impl Entry {
    fn at(&self) -> u64 {
        self.at.parse().unwrap_or(0)
    }

    /// journald cut the line here (`LineMax=`): the next entry continues it.
    fn is_continued(&self) -> bool {
        self.line_break == "line-max"
    }
}

/// A message in journalctl's JSON: a string, or an array of bytes if it is not printable UTF-8.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes(Vec<u8>),
}

/// journald cuts a line of over 48 KiB into several entries, perhaps in the middle of a secret, which redaction would
/// miss: the entries are joined again. The first entry may still be the rest of a line that was not read: then `CUT`
/// is put before it.
fn joined_lines(entries: &str) -> Vec<ForeignText> {
    let mut read: Vec<Entry> = entries.lines().filter_map(|entry| serde_json::from_str(entry).ok()).collect();
    let is_all = read.len() < ENTRIES && !entries.starts_with(CUT);
    let first = first_shown(&read);
    let mut is_cut = if first == 0 { !is_all } else { read[first - 1].is_continued() };
    let mut text = String::new();
    for Entry { message, line_break, .. } in read.drain(first..) {
        if std::mem::take(&mut is_cut) {
            text.push(CUT);
        }
        match message {
            Text::Plain(message) => text.push_str(&message),
            Text::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
        }
        if line_break != "line-max" {
            text.push('\n');
        }
    }
    program::lines(&text)
}

/// The index of the first entry to show: all of the last second, and at least the last `SHOWN`.
fn first_shown(entries: &[Entry]) -> usize {
    const SECOND: u64 = 1_000_000;
    let end = entries.last().map_or(0, Entry::at);
    let of_the_last_second = entries.iter().position(|entry| entry.at() + SECOND >= end).unwrap_or(0);
    of_the_last_second.min(entries.len().saturating_sub(SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Redaction, Secret};

    fn shown(entries: &[(&str, &str)]) -> Vec<String> {
        let token = Secret::new("hunter2-hunter2");
        let known = Redaction::new([("TOKEN", &token)]);
        let entries = entries.iter().map(|(message, line_break)| match *line_break {
            "" => format!("{{\"__CURSOR\":\"s\",\"MESSAGE\":{message}}}\n"),
            _ => format!("{{\"MESSAGE\":{message},\"_LINE_BREAK\":\"{line_break}\"}}\n"),
        });
        joined_lines(&entries.collect::<String>()).iter().map(|line| line.shown(&known)).collect()
    }

    #[test]
    fn a_line_that_journald_cut_is_joined_again() {
        let lines = [
            (r#""up""#, ""),
            (r#""no user hunter2-""#, "line-max"),
            (r#""hunter2 here""#, ""),
            (r#"[110,111,27,91,48,109,255]"#, ""),
            (r#""two\nlines hunter2-hunter2""#, "eof"),
            ("null", ""),
        ];
        assert_eq!(shown(&lines), ["up", "no user [TOKEN] here", "no\u{fffd}", "two", "lines [TOKEN]"]);
    }

    #[test]
    fn all_of_the_last_second_is_shown_and_at_least_the_last_entries() {
        let entry = |at: u64| Entry {
            message: Text::Plain("x".into()),
            line_break: String::new(),
            at: at.to_string(),
        };
        let at = |times: &[u64]| first_shown(&times.iter().map(|at| entry(*at)).collect::<Vec<_>>());
        let long_ago: Vec<u64> = (0..200).collect();
        let flood: Vec<u64> = (0..500).map(|n| 5_000_000 + n).collect();
        assert_eq!(at(&[long_ago.clone(), flood].concat()), 200);
        assert_eq!(at(&[long_ago, vec![5_000_000]].concat()), 201 - SHOWN);
        assert_eq!((at(&[]), at(&[7])), (0, 0));
    }

    #[test]
    fn dropped_lines_are_counted_by_unit() {
        let said = "Suppressed 120 messages from auth.service\nSuppressed 7 messages from other.service\n\
            Suppressed 3 messages from /system.slice/auth.service\nSuppressed x messages from auth.service\n";
        assert_eq!((count_dropped(said, "auth.service"), count_dropped(said, "a.service")), (123, 0));
    }

    #[test]
    fn the_first_of_many_entries_may_begin_in_the_middle_of_a_secret() {
        let mut lines = vec![(r#""er2-hunter2 here""#, "")];
        lines.resize(ENTRIES, (r#""on""#, ""));
        assert_eq!(shown(&lines)[0], "…[TOKEN] here");
        assert_eq!(shown(&lines[..ENTRIES - 1])[0], "er2-hunter2 here", "there is nothing before it");
    }

    #[test]
    fn times_of_restarts_are_in_seconds() {
        let entries =
            "{\"__REALTIME_TIMESTAMP\":\"1700000000999999\",\"UNIT\":\"x\"}\nnonsense\n{\"UNIT\":\"x\"}\n";
        assert_eq!(times(entries), [1_700_000_000]);
    }
}
