//! Schedules another run after one that failed while nothing serves: a transient systemd timer starts bootagent's unit,
//! which from then on restarts itself (`Restart=`).

use crate::error::Result;
use crate::machine::Check;
use crate::machine::process::program::tool;
use crate::machine::process::units;
use crate::plan::Seconds;

/// The unit waits for `RestartSec=`.
const AUTO_RESTART: &str = "auto-restart";

/// `AlreadySo` if bootagent's unit is not installed: then there is nothing to start later.
pub async fn check_arranged(unit: &str) -> Result<Check> {
    Ok(match units::state(unit).await?.load.as_str() {
        "loaded" => Check::WouldChange("not arranged".into()),
        _ => Check::AlreadySo,
    })
}

/// Starts `unit` after the given time, by a timer of this name; an earlier timer is replaced.
pub async fn arrange(unit: &str, timer: &str, after: Seconds) -> Result<()> {
    cancel(unit, timer).await?;
    // With RemainAfterExit= a oneshot unit stays active after success, and systemctl start would do nothing. No process
    // runs in it any more.
    if units::state(unit).await?.is_active() {
        units::stop(unit).await?;
    }
    let (name, active) = (format!("--unit={timer}"), format!("--on-active={}s", after.0));
    let line = ["systemd-run", "--quiet", "--collect", &name, &active, "--timer-property=AccuracySec=1s"];
    let start = ["--timer-property=RemainAfterElapse=no", "systemctl", "--no-block", "start", unit];
    tool(&[&line[..], &start].concat(), 20).await.map(|_| ())
}

pub async fn check_cancelled(unit: &str, timer: &str) -> Result<Check> {
    let states = units::states(&[format!("{timer}.timer"), unit.to_owned()]).await?;
    let [timer, unit] = states.as_slice() else { return Ok(Check::WouldChange("not known".into())) };
    Ok(match timer.is_down() && unit.sub != AUTO_RESTART {
        true => Check::AlreadySo,
        false => Check::WouldChange("arranged".into()),
    })
}

/// Cancels the timer, and the unit's own restart if it waits for `RestartSec=`.
pub async fn cancel(unit: &str, timer: &str) -> Result<()> {
    units::clear(&format!("{timer}.timer")).await?;
    match is_to_be_restarted(unit).await? {
        true => units::stop(unit).await,
        false => Ok(()),
    }
}

/// Whether the unit waits for `RestartSec=`. No process runs in it meanwhile.
async fn is_to_be_restarted(unit: &str) -> Result<bool> {
    Ok(units::state(unit).await?.sub == AUTO_RESTART)
}
