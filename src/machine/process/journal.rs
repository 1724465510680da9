//! What the journal has of a unit: its own last lines, systemd's word about it, its restarts, and what was dropped.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::program::{self, tool};
use crate::machine::now;
use crate::secret::{CUT, ForeignText};

/// What systemd itself, before or after it gave up root, said about how a unit ended. Empty if the
/// journal did not keep it.
pub async fn last_word(unit: &str, since: u64) -> String {
    let (unit, since) = (format!("UNIT={unit}"), format!("--since=@{since}"));
    let line = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=20", &since, "_UID=0", &unit];
    tool(&line, 10).await.map(|output| output.text()).unwrap_or_default()
}

/// What these invocations of a unit said last: the service itself, or else systemd about it. All of the last second is
/// taken, as far as it is within bounds: a process that says why it ends may say much else on its way out.
pub async fn last_lines(invocations: &[String]) -> Vec<ForeignText> {
    const LATEST: usize = 5;
    let latest = &invocations[invocations.len().saturating_sub(LATEST)..];
    let its_own = of_invocations("_SYSTEMD_INVOCATION_ID", latest);
    let mut lines = read_last(&its_own).await;
    if lines.is_empty() {
        // journald reads a process's output after systemd has learned that the process ended.
        sleep(Duration::from_millis(250)).await;
        lines = read_last(&its_own).await;
    }
    if lines.is_empty() {
        // This field anybody may set: only from systemd itself it counts.
        let systemds = of_invocations("INVOCATION_ID", latest);
        lines = read_last(&[systemds, vec!["_PID=1".to_owned()]].concat()).await;
    }
    lines
}

fn of_invocations(field: &str, invocations: &[String]) -> Vec<String> {
    invocations.iter().filter(|id| !id.is_empty()).map(|id| format!("{field}={id}")).collect()
}

/// The last entries that match, none where there is nothing to match.
async fn read_last(wanted: &[String]) -> Vec<ForeignText> {
    const BYTES: usize = 4 << 20;
    if !wanted.iter().any(|part| part.contains("INVOCATION_ID=")) {
        return Vec::new();
    }
    let count = format!("--lines={ENTRIES}");
    let mut line = vec!["journalctl", "--quiet", "--no-pager", "--all", "--output=json", FIELDS, &count];
    line.extend(wanted.iter().map(String::as_str));
    let output = program::run(&line, None, Duration::from_secs(8), BYTES).await;
    output.map(|output| said(&output.text())).unwrap_or_default()
}

/// How many lines of a unit the journal says that it dropped since then, because they were too many.
pub async fn dropped(unit: &str, since: u64) -> u64 {
    const MESSAGE: &str = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e";
    let since = format!("--since=@{since}");
    // This transport is journald's own: a service cannot write by it.
    let line = ["journalctl", "--quiet", "--no-pager", "--output=cat", &since, MESSAGE, "_TRANSPORT=driver"];
    tool(&line, 8).await.map(|output| count_dropped(&output.text(), unit)).unwrap_or_default()
}

/// As in `Suppressed 1234 messages from auth-service.service`.
fn count_dropped(messages: &str, unit: &str) -> u64 {
    let of_unit = messages.lines().filter_map(|line| {
        let (count, from) = line.strip_prefix("Suppressed ")?.split_once(" messages from ")?;
        (from.trim_end_matches('.').rsplit('/').next() == Some(unit)).then_some(count)
    });
    of_unit.filter_map(|count| count.parse::<u64>().ok()).sum()
}

/// When systemd restarted the unit within the last seconds, as the journal has it: in seconds since 1970.
pub async fn recent_restarts(unit: &str, seconds: u64) -> Vec<u64> {
    // SD_MESSAGE_UNIT_RESTART_SCHEDULED, which only systemd itself may say.
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

/// So many entries are read at most, and so many of them are told in any case.
const ENTRIES: usize = 2000;
const TOLD: usize = 60;
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

    /// The next entry goes on with the same line.
    fn goes_on(&self) -> bool {
        self.line_break == "line-max"
    }
}

/// As the journal writes it: bytes, if it is not plain text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes(Vec<u8>),
}

/// The journal cuts a line of over 48 KiB into entries, perhaps in the middle of a secret: here it is one line again.
/// The first entry may begin in the middle of one, unless it is the first of all.
fn said(entries: &str) -> Vec<ForeignText> {
    let mut read: Vec<Entry> = entries.lines().filter_map(|entry| serde_json::from_str(entry).ok()).collect();
    let is_whole = read.len() < ENTRIES && !entries.starts_with(CUT);
    let first = first_told(&read);
    let mut is_cut = if first == 0 { !is_whole } else { read[first - 1].goes_on() };
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

/// The last entries, and before them those of the last second.
fn first_told(entries: &[Entry]) -> usize {
    const SECOND: u64 = 1_000_000;
    let end = entries.last().map_or(0, Entry::at);
    let of_the_last_second = entries.iter().position(|entry| entry.at() + SECOND >= end).unwrap_or(0);
    of_the_last_second.min(entries.len().saturating_sub(TOLD))
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
        said(&entries.collect::<String>()).iter().map(|line| line.shown(&known)).collect()
    }

    #[test]
    fn a_line_that_the_journal_cut_is_one_line_again() {
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
    fn all_of_the_last_second_is_told_and_of_what_was_before_only_a_part() {
        let entry = |at: u64| Entry {
            message: Text::Plain("x".into()),
            line_break: String::new(),
            at: at.to_string(),
        };
        let at = |times: &[u64]| first_told(&times.iter().map(|at| entry(*at)).collect::<Vec<_>>());
        let long_ago: Vec<u64> = (0..200).collect();
        let flood: Vec<u64> = (0..500).map(|n| 5_000_000 + n).collect();
        assert_eq!(at(&[long_ago.clone(), flood].concat()), 200);
        assert_eq!(at(&[long_ago, vec![5_000_000]].concat()), 201 - TOLD);
        assert_eq!((at(&[]), at(&[7])), (0, 0));
    }

    #[test]
    fn lines_that_the_journal_dropped_are_counted_for_their_unit() {
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
    fn restarts_are_read_from_the_journal_s_own_times() {
        let entries =
            "{\"__REALTIME_TIMESTAMP\":\"1700000000999999\",\"UNIT\":\"x\"}\nnonsense\n{\"UNIT\":\"x\"}\n";
        assert_eq!(times(entries), [1_700_000_000]);
    }
}
