//! A run in a transient unit, for the watcher: it is not bound by the watcher's sandbox, and outlives it.

use std::time::Duration;

use crate::error::Result;
use crate::machine::Refreshed;
use crate::machine::process::{program, units};
use crate::plan::layout;

/// A run has a budget of at most an hour, and as much to go back; the same as `TimeoutStartSec=` of bootagent.service.
const LONGEST: Duration = Duration::from_secs(7500);

/// Runs bootagent for the pinned commit, and waits for its end.
pub async fn refresh() -> Result<Refreshed> {
    let unit = layout::WATCH_REFRESH;
    units::clear(unit).await?;
    let name = format!("--unit={unit}");
    let line = [
        "systemd-run",
        "--quiet",
        "--collect",
        "--wait",
        &name,
        "--property=LimitCORE=0",
        "--property=UMask=0077",
        "--property=OOMScoreAdjust=-900",
        "--property=KillMode=mixed",
        // As the units name it: the path of a program that was replaced meanwhile leads nowhere.
        "bootagent",
        "run",
    ];
    let output = program::run(&line, None, LONGEST, 64 << 10).await?;
    Ok(match output.status {
        Some(0) => Refreshed::Healthy,
        Some(2) => Refreshed::FormerServes,
        Some(75) => Refreshed::Busy,
        status => Refreshed::Failed(status.unwrap_or(-1)),
    })
}
