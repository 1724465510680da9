//! Units, through systemctl.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

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
    pub exit_status: String,
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

const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,MainPID,NRestarts,InvocationID,ControlGroup,NeedDaemonReload,ExecMainStatus,ExecStartPre,ActiveEnterTimestamp";

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
        exit_status: take("ExecMainStatus"),
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

/// The last that these invocations of a unit said: the service itself, or else systemd about it. Of what
/// it says too fast the journal keeps a part, and so do we.
pub async fn last_lines(invocations: &[String]) -> Vec<ForeignText> {
    const LATEST: usize = 5;
    let latest = &invocations[invocations.len().saturating_sub(LATEST)..];
    // The second field anybody may set: only from systemd itself it counts.
    for (field, by) in [("_SYSTEMD_INVOCATION_ID", None), ("INVOCATION_ID", Some("_PID=1"))] {
        let wanted: Vec<String> =
            latest.iter().filter(|id| !id.is_empty()).map(|id| format!("{field}={id}")).collect();
        let count = format!("--lines={ENTRIES}");
        let mut line = vec!["journalctl", "--quiet", "--no-pager", "--all", "--output=json", FIELDS, &count];
        line.extend(wanted.iter().map(String::as_str).chain(by));
        let lines = match wanted.is_empty() {
            true => Vec::new(),
            false => tool(&line, 8).await.map(|output| said(&output.text())).unwrap_or_default(),
        };
        if !lines.is_empty() {
            return lines;
        }
    }
    Vec::new()
}

/// Why a unit whose proof failed does not run.
pub const IMDS_ANSWERS_SERVICE: &str =
    "instance metadata would answer the service, to which the policy denies it";

const ENTRIES: usize = 60;
const FIELDS: &str = "--output-fields=MESSAGE,_LINE_BREAK";

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "MESSAGE")]
    message: Text,
    #[serde(rename = "_LINE_BREAK", default)]
    line_break: String,
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
    let read: Vec<Entry> = entries.lines().filter_map(|entry| serde_json::from_str(entry).ok()).collect();
    let is_whole = read.len() < ENTRIES && !entries.starts_with(CUT);
    let mut text = if is_whole { String::new() } else { CUT.to_string() };
    for Entry { message, line_break } in read {
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
    fn the_first_of_many_entries_may_begin_in_the_middle_of_a_secret() {
        let mut lines = vec![(r#""er2-hunter2 here""#, "")];
        lines.resize(ENTRIES, (r#""on""#, ""));
        assert_eq!(shown(&lines)[0], "…[TOKEN] here");
        assert_eq!(shown(&lines[..ENTRIES - 1])[0], "er2-hunter2 here", "there is nothing before it");
    }
}
