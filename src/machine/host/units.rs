//! Units, through systemctl.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::crash::Exit;
use super::program::{self, tool};
use super::reason;
use crate::error::Result;
use crate::fault::Fault;
use crate::machine::now;
use crate::machine::sandbox::imds_proof::IMDS_ANSWERS;
use crate::plan::layout;
use crate::secret::{CUT, ForeignText};

/// The properties of one unit that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    pub load: String,
    pub active: String,
    pub sub: String,
    pub result: String,
    pub main_pid: u32,
    pub restarts: u32,
    pub invocation: String,
    pub cgroup: String,
    pub needs_reload: bool,
    /// How its main process ended, unless it runs.
    pub exit: Option<Exit>,
    /// Since when it is active, or was last, in seconds since 1970.
    pub active_since: Option<u64>,
    /// Its last start ended before the service began: instance metadata answered.
    pub imds_answered: bool,
}

impl UnitState {
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }
}

const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,MainPID,NRestarts,InvocationID,ControlGroup,NeedDaemonReload,ExecMainCode,ExecMainStatus,ExecStartPre,ActiveEnterTimestamp";

pub fn is_running_the_machine() -> bool {
    std::path::Path::new("/run/systemd/system").is_dir()
}

/// Where systemd does not run the machine (a laptop's container, say) there are no units.
pub async fn state(unit: &str) -> Result<UnitState> {
    if !is_running_the_machine() {
        return Ok(UnitState {
            load: "no systemd".into(),
            active: "inactive".into(),
            ..UnitState::default()
        });
    }
    let output = tool(&["systemctl", "show", "--timestamp=unix", PROPERTIES, "--", unit], 20).await?;
    Ok(parse(&output.text()))
}

fn parse(text: &str) -> UnitState {
    let mut values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let mut take = |name: &str| values.remove(name).unwrap_or_default().to_owned();
    UnitState {
        load: take("LoadState"),
        active: take("ActiveState"),
        sub: take("SubState"),
        result: take("Result"),
        main_pid: take("MainPID").parse().unwrap_or(0),
        restarts: take("NRestarts").parse().unwrap_or(0),
        invocation: take("InvocationID"),
        cgroup: take("ControlGroup"),
        needs_reload: take("NeedDaemonReload") == "yes",
        exit: Exit::of(&take("ExecMainCode"), &take("ExecMainStatus")),
        active_since: take("ActiveEnterTimestamp").strip_prefix('@').and_then(|at| at.parse().ok()),
        imds_answered: text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStartPre="))
            .any(is_failed_proof),
    }
}

/// As `{ path=... ; argv[]=bootagent __child imds-proof ; ... ; code=exited ; status=189 }`.
fn is_failed_proof(start_pre: &str) -> bool {
    start_pre.contains(layout::IMDS_PROOF) && start_pre.ends_with(&format!("; status={IMDS_ANSWERS} }}"))
}

/// When the main process of a unit was started, in microseconds since 1970. `systemctl show` has it in whole seconds
/// only, or in a form that older ones do not know.
pub async fn started(unit: &str) -> Result<Option<u64>> {
    if !is_running_the_machine() {
        return Ok(None);
    }
    let path = format!("/org/freedesktop/systemd1/unit/{}", bus_name(unit));
    let service = "org.freedesktop.systemd1.Service";
    let line =
        ["busctl", "get-property", "org.freedesktop.systemd1", &path, service, "ExecMainStartTimestamp"];
    let output = tool(&line, 20).await?;
    Ok(output
        .text()
        .trim()
        .strip_prefix("t ")
        .and_then(|number| number.parse().ok())
        .filter(|moment| *moment > 0))
}

/// A unit's name as D-Bus has it in paths: all but letters and digits escaped, and a digit in front, too.
fn bus_name(unit: &str) -> String {
    let escaped = unit.bytes().enumerate().map(|(at, byte)| match byte {
        b'0'..=b'9' if at > 0 => char::from(byte).to_string(),
        b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("_{other:02x}"),
    });
    escaped.collect()
}

pub async fn daemon_reload() -> Result<()> {
    tool(&["systemctl", "daemon-reload"], 60).await.map(|_| ())
}

/// Frees the name of a unit that failed; one that runs is not touched.
pub async fn forget_failed(unit: &str) {
    let _ = tool(&["systemctl", "reset-failed", "--", unit], 20).await;
}

/// Stops a unit and forgets that it failed; a unit that is not there is stopped already.
pub async fn stop(unit: &str) -> Result<()> {
    if let Err(error) = tool(&["systemctl", "stop", "--", unit], 100).await
        && !is_gone(unit).await?
    {
        return Err(error);
    }
    let _ = tool(&["systemctl", "reset-failed", "--", unit], 20).await;
    Ok(())
}

/// Stops what a killed run may have left under this name.
pub async fn clear(unit: &str) -> Result<()> {
    match !is_running_the_machine() || is_gone(unit).await? {
        true => Ok(()),
        false => stop(unit).await,
    }
}

async fn is_gone(unit: &str) -> Result<bool> {
    let state = state(unit).await?;
    Ok(state.load == "not-found" && state.active == "inactive")
}

/// The loaded units whose names fit a pattern.
pub async fn listed(patterns: &[String]) -> Result<Vec<String>> {
    if !is_running_the_machine() {
        return Ok(Vec::new());
    }
    let mut line = vec!["systemctl", "list-units", "--all", "--plain", "--no-legend", "--"];
    line.extend(patterns.iter().map(String::as_str));
    let output = tool(&line, 20).await?;
    Ok(output.text().lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// What systemd itself, before or after it gave up root, said about how a unit ended. Nothing, if nobody
/// kept it.
pub async fn last_word(unit: &str, since: u64) -> String {
    let (unit, since) = (format!("UNIT={unit}"), format!("--since=@{since}"));
    let line = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=20", &since, "_UID=0", &unit];
    tool(&line, 10).await.map(|output| output.text()).unwrap_or_default()
}

/// What these invocations of a unit said last: the service itself, or else systemd about it. All of the last second is
/// taken, as far as it is within bounds: a process that says why it ends may say much else on its way out.
pub async fn last_lines(invocations: &[String]) -> Vec<ForeignText> {
    const LATEST: usize = 5;
    const BYTES: usize = 4 << 20;
    let latest = &invocations[invocations.len().saturating_sub(LATEST)..];
    // The second field anybody may set: only from systemd itself it counts.
    for (field, by) in [("_SYSTEMD_INVOCATION_ID", None), ("INVOCATION_ID", Some("_PID=1"))] {
        let wanted: Vec<String> =
            latest.iter().filter(|id| !id.is_empty()).map(|id| format!("{field}={id}")).collect();
        if wanted.is_empty() {
            continue;
        }
        let count = format!("--lines={ENTRIES}");
        let mut line = vec!["journalctl", "--quiet", "--no-pager", "--all", "--output=json", FIELDS, &count];
        line.extend(wanted.iter().map(String::as_str).chain(by));
        let output = program::run(&line, None, Duration::from_secs(8), BYTES).await;
        let lines = output.map(|output| said(&output.text())).unwrap_or_default();
        if !lines.is_empty() {
            return lines;
        }
    }
    Vec::new()
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

/// Why a unit whose proof failed does not run.
pub const IMDS_ANSWERS_SERVICE: &str =
    "instance metadata would answer the service, to which the policy denies it";

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

pub async fn restart(unit: &str) -> Result<()> {
    let _ = tool(&["systemctl", "reset-failed", "--", unit], 20).await;
    let former = state(unit).await.map(|state| state.invocation).unwrap_or_default();
    let began = now();
    let line = ["systemctl", "restart", "--", unit];
    let output = program::run(&line, None, Duration::from_secs(110), 64 << 10).await?;
    if output.ok() {
        return Ok(());
    }
    let now = state(unit).await;
    let doing = format!("starting {unit}");
    let error = match &now {
        Ok(now) if now.imds_answered => Fault::ImdsAnswers.error(doing, IMDS_ANSWERS_SERVICE),
        now => reason::not_started(unit, began, now.as_ref().ok(), &output)
            .await
            .remedy(format!("journalctl -u {unit} shows why")),
    };
    let said = match now {
        // What ran before may have said a secret that is none of today's, which nobody would recognize.
        Ok(state) if state.invocation != former => last_lines(&[state.invocation]).await,
        _ => Vec::new(),
    };
    Err(error.saying(if said.is_empty() { output.both_ends() } else { said }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Redaction, Secret};

    #[test]
    fn properties_are_read_in_any_order_and_absent_ones_are_empty() {
        let state = parse("NRestarts=3\nMainPID=17\nActiveState=active\nNeedDaemonReload=yes\nResult=a=b\n");
        assert!(state.is_active() && state.needs_reload);
        assert_eq!((state.main_pid, state.restarts, state.result.as_str()), (17, 3, "a=b"));
        assert_eq!(parse("garbage"), UnitState::default());
    }

    #[test]
    fn names_are_escaped_as_d_bus_wants_them() {
        assert_eq!(bus_name("auth-service.service"), "auth_2dservice_2eservice");
        assert_eq!(bus_name("2x.service"), "_32x_2eservice");
    }

    #[test]
    fn a_proof_that_failed_is_told_from_other_ends() {
        let ended = |argv: &str, status: &str| {
            let times = "start_time=[n/a] ; stop_time=[n/a] ; pid=7 ; code=exited";
            let line =
                format!("{{ path=/x ; argv[]={argv} ; ignore_errors=no ; {times} ; status={status} }}");
            parse(&format!("ExecStartPre={line}\n")).imds_answered
        };
        assert!(ended(layout::IMDS_PROOF, "189"));
        for (argv, status) in [(layout::IMDS_PROOF, "0"), (layout::IMDS_PROOF, "1"), ("/bin/false", "189")] {
            assert!(!ended(argv, status), "{argv} {status}");
        }
    }

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
}
