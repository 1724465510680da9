//! Starts a service's unit, and says why it does not start.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::now;
use crate::machine::process::program::{self, Output, how_it_ended, tool};
use crate::machine::process::units::{self, UnitState};
use crate::machine::process::{journal, reason};
use crate::secret::Message;

/// Ends what runs, and starts the unit from what stands there now.
pub async fn restart(unit: &str) -> Result<()> {
    let _ = tool(&["systemctl", "reset-failed", "--", unit], 20).await;
    let former = units::state(unit).await.map(|state| state.invocation).unwrap_or_default();
    let began = now();
    let line = ["systemctl", "restart", "--", unit];
    let output = program::run(&line, None, Duration::from_secs(110), 64 << 10).await?;
    if output.ok() {
        return Ok(());
    }
    let now = units::state(unit).await;
    let doing = format!("starting {unit}");
    let error = match &now {
        Ok(now) if now.imds_answered => Fault::ImdsAnswers.error(doing, units::IMDS_ANSWERS_SERVICE),
        now => not_started(unit, began, now.as_ref().ok(), &output)
            .await
            .remedy(format!("journalctl -u {unit} shows why")),
    };
    let said = match now {
        // The process before may have printed a former secret, which today's redaction does not know.
        Ok(state) if state.invocation != former => journal::last_lines(&[state.invocation]).await,
        _ => Vec::new(),
    };
    Err(error.saying(if said.is_empty() { output.both_ends() } else { said }))
}

/// systemctl itself only says that it did not work: systemd says why.
async fn not_started(unit: &str, began: u64, now: Option<&UnitState>, output: &Output) -> Error {
    let step = reason::step_of(now.and_then(|now| now.exit));
    let cause = match (reason::reason(unit, began).await, step) {
        (Some(reason), _) => Message::from("systemd says: ").and(reason),
        (None, Some(step)) => format!("systemd could not start it: step {step} failed").into(),
        (None, None) => how_it_ended(output).into(),
    };
    Fault::UnitFailed.error(format!("starting {unit}"), cause)
}
