//! A later try of a run that failed while nothing serves: a timer of systemd's starts the agent's own unit, and from
//! then on that unit starts itself again.

use crate::error::Result;
use crate::machine::Check;
use crate::machine::process::program::tool;
use crate::machine::process::units;
use crate::plan::Seconds;

/// Without the agent's unit systemd has nothing to start later.
pub async fn check_arranged(unit: &str) -> Result<Check> {
    Ok(match units::state(unit).await?.load.as_str() {
        "loaded" => Check::WouldChange("not arranged".into()),
        _ => Check::AlreadySo,
    })
}

pub async fn arrange(unit: &str, timer: &str, after: Seconds) -> Result<()> {
    cancel(unit, timer).await?;
    // A oneshot that ended well stays active, and would not be started again. Nothing runs in it.
    if units::state(unit).await?.is_active() {
        units::stop(unit).await?;
    }
    let (name, active) = (format!("--unit={timer}"), format!("--on-active={}s", after.0));
    let line = ["systemd-run", "--quiet", "--collect", &name, &active, "--timer-property=AccuracySec=1s"];
    let start = ["--timer-property=RemainAfterElapse=no", "systemctl", "--no-block", "start", unit];
    tool(&[&line[..], &start].concat(), 20).await.map(|_| ())
}

pub async fn check_cancelled(unit: &str, timer: &str) -> Result<Check> {
    let state = units::state(&format!("{timer}.timer")).await?;
    Ok(match state.is_down() && !is_to_be_restarted(unit).await? {
        true => Check::AlreadySo,
        false => Check::WouldChange("arranged".into()),
    })
}

/// By either of the two ways in which it comes.
pub async fn cancel(unit: &str, timer: &str) -> Result<()> {
    units::clear(&format!("{timer}.timer")).await?;
    match is_to_be_restarted(unit).await? {
        true => units::stop(unit).await,
        false => Ok(()),
    }
}

/// systemd waits for `RestartSec=` and then starts it: nothing runs in it meanwhile.
async fn is_to_be_restarted(unit: &str) -> Result<bool> {
    Ok(units::state(unit).await?.sub == "auto-restart")
}
