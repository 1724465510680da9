//! systemd's units: their state, from `systemctl show`, and the commands to stop and forget them. A service's unit is
//! started in `service/start.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::sleep;

use super::exit::{Exit, IMDS_ANSWERS};
use super::program::tool;
use crate::error::Result;
use crate::plan::layout;

/// The properties of one unit that bootagent reads; names as in `systemctl show`.
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
    /// How the main process ended; `None` while it runs.
    pub exit: Option<Exit>,
    /// When the unit last became active, in seconds since 1970.
    pub active_since: Option<u64>,
    /// The last start failed in `ExecStartPre=`, because the unit could reach IMDS.
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

/// The unit's state now. Without systemd as PID 1, as in a container, every unit is inactive.
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

/// The states of several units, in their order, from one call: each costs about ten milliseconds of a processor.
pub async fn states(units: &[String]) -> Result<Vec<UnitState>> {
    match units {
        [] => return Ok(Vec::new()),
        [one] => return Ok(vec![state(one).await?]),
        _ if !is_running_the_machine() => return try_join_all(units.iter().map(|unit| state(unit))).await,
        _ => {}
    }
    let mut line = vec!["systemctl", "show", "--timestamp=unix", PROPERTIES, "--"];
    line.extend(units.iter().map(String::as_str));
    let output = tool(&line, 20).await?;
    // systemd separates them by an empty line.
    let states: Vec<UnitState> = output.text().split("\n\n").map(parse).collect();
    match states.len() == units.len() {
        true => Ok(states),
        false => try_join_all(units.iter().map(|unit| state(unit))).await,
    }
}

/// The unit's state after `ExecStartPre=`, for which this waits up to a second: the proof that IMDS does not answer
/// takes a quarter of a second, and a service that is just starting must not look unhealthy.
pub async fn settled(unit: &str) -> Result<UnitState> {
    const READS: u32 = 10;
    let mut state = state(unit).await?;
    for _ in 1..READS {
        if state.sub != "start-pre" {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        state = self::state(unit).await?;
    }
    Ok(state)
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

/// The value is `{ path=... ; argv[]=bootagent __child imds-proof ; ... ; code=exited ; status=189 }`.
fn is_failed_proof(start_pre: &str) -> bool {
    start_pre.contains(layout::IMDS_PROOF) && start_pre.ends_with(&format!("; status={IMDS_ANSWERS} }}"))
}

/// When the main process of a unit was started, in microseconds since 1970, read through D-Bus: `systemctl show` prints
/// whole seconds, and older versions have no option for more.
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

/// A unit's name in a D-Bus object path: every byte that is not a letter or digit is escaped, and a leading digit, too.
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

/// Clears the failed state of a unit, so that its name can be used again. No effect on a unit that runs.
pub async fn forget_failed(unit: &str) {
    let _ = tool(&["systemctl", "reset-failed", "--", unit], 20).await;
}

/// Stops a unit and clears its failed state. Succeeds if there is no such unit.
pub async fn stop(unit: &str) -> Result<()> {
    if let Err(error) = tool(&["systemctl", "stop", "--", unit], 100).await
        && !is_gone(unit).await?
    {
        return Err(error);
    }
    let _ = tool(&["systemctl", "reset-failed", "--", unit], 20).await;
    Ok(())
}

/// Stops a unit of this name that a killed run may have left running.
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

/// The loaded units whose names match one of the patterns (globs, as in systemctl(1)).
pub async fn listed(patterns: &[String]) -> Result<Vec<String>> {
    if !is_running_the_machine() {
        return Ok(Vec::new());
    }
    let mut line = vec!["systemctl", "list-units", "--all", "--plain", "--no-legend", "--"];
    line.extend(patterns.iter().map(String::as_str));
    let output = tool(&line, 20).await?;
    Ok(output.text().lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// The cause if the service's `ExecStartPre=` could reach IMDS.
pub const IMDS_ANSWERS_SERVICE: &str = "the service could reach IMDS, which the policy forbids";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_in_any_order_and_absent_ones_are_empty() {
        let state = parse("NRestarts=3\nMainPID=17\nActiveState=active\nNeedDaemonReload=yes\nResult=a=b\n");
        assert!(state.is_active() && state.needs_reload);
        assert_eq!((state.main_pid, state.restarts, state.result.as_str()), (17, 3, "a=b"));
        assert_eq!(parse("garbage"), UnitState::default());
    }

    #[test]
    fn unit_names_are_escaped_for_d_bus() {
        assert_eq!(bus_name("auth-service.service"), "auth_2dservice_2eservice");
        assert_eq!(bus_name("2x.service"), "_32x_2eservice");
    }

    #[test]
    fn only_a_failed_imds_proof_counts_as_imds_answered() {
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
}
