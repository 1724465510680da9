//! Starts, restarts and reloads a service's unit, and finds out why it does not start. Does not check its health.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::now;
use crate::machine::process::units::{self, Job, UnitState};
use crate::machine::process::{journal, reason};
use crate::secret::Message;

/// systemd gives a start 90 s by default, and a stop as much.
const RESTART: Duration = Duration::from_secs(110);

/// Restarts the unit, or starts it, with the files as they are now.
pub async fn restart(unit: &str) -> Result<()> {
    let former = units::state(unit).await.map(|state| state.invocation).ok();
    // One that was never started in this boot has no starts that systemd counts.
    if former.as_ref().is_none_or(|former| !former.is_empty()) {
        units::forget_failed(unit).await;
    }
    let began = now();
    let ended = units::run(Job::Restart, unit, RESTART).await?;
    if ended.is_done {
        return Ok(());
    }
    let now = units::state(unit).await;
    let doing = format!("starting {unit}");
    let error = match &now {
        Ok(now) if now.imds_answered => Fault::ImdsAnswers.error(doing, units::IMDS_ANSWERS_SERVICE),
        now => not_started(unit, began, now.as_ref().ok(), ended.how)
            .await
            .remedy(format!("journalctl -u {unit} shows why")),
    };
    let said = match now {
        // Only lines of the new process: an earlier one may have logged an old secret value, which redaction does not
        // know.
        Ok(state) if former.as_ref() != Some(&state.invocation) => {
            journal::last_lines(&[state.invocation]).await
        }
        _ => Vec::new(),
    };
    Err(error.saying(if said.is_empty() { ended.said } else { said }))
}

/// Restarts several units at the same time. Returns whether all of them started.
pub async fn restart_at_once(units: &[String]) -> Result<bool> {
    let ended = try_join_all(units.iter().map(|unit| units::run(Job::Restart, unit, RESTART))).await?;
    Ok(ended.iter().all(|ended| ended.is_done))
}

/// Reloads the running unit by its `ExecReload=`.
pub async fn reload(unit: &str) -> Result<()> {
    let ended = units::run(Job::Reload, unit, Duration::from_secs(115)).await?;
    if ended.is_done {
        return Ok(());
    }
    let state = units::state(unit).await?;
    let said = journal::last_lines(&[state.invocation]).await;
    let cause = match said.iter().rev().find(|line| line.says(RELOAD)) {
        Some(line) => Message::from(line.trimmed()),
        None => Message::from(ended.how),
    };
    let error = Fault::ServiceExited.error(format!("reloading {unit}"), cause);
    Err(error.saying(if said.is_empty() { ended.said } else { said }))
}

/// The start of the line with which bootagent's reload programs report why a reload failed.
const RELOAD: &str = "reload: ";

/// The error with systemd's reason from the journal: the job's result only says that the start failed.
async fn not_started(unit: &str, began: u64, now: Option<&UnitState>, how: String) -> Error {
    let step = reason::step_of(now.and_then(|now| now.exit));
    // The program itself has ended before systemd knew that it had begun.
    let ended = now.and_then(|now| now.exit).filter(|_| step.is_none());
    let ended = ended.map(|exit| format!("; its program ended {}", exit.describe())).unwrap_or_default();
    let cause = match (reason::reason(unit, began).await, step) {
        (Some(reason), _) => Message::from("systemd says: ").and(reason).and(ended),
        (None, Some(step)) => format!("systemd could not start it: step {step} failed").into(),
        (None, None) => how.into(),
    };
    Fault::UnitFailed.error(format!("starting {unit}"), cause)
}
