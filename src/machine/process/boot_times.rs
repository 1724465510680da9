//! When this boot reached what bootagent waits for, as systemd recorded it.

use std::path::Path;

use super::program::tool;
use super::units::is_running_the_machine;
use crate::error::Result;
use crate::facts::BootTimes;

/// `None` without systemd as PID 1.
pub async fn boot_times() -> Result<Option<BootTimes>> {
    if !is_running_the_machine() {
        return Ok(None);
    }
    let manager = "--property=UserspaceTimestampMonotonic,FinishTimestampMonotonic";
    let manager = tool(&["systemctl", "show", manager], 20).await?.text();
    let network = ["systemctl", "show", "--property=ActiveEnterTimestampMonotonic", "network-online.target"];
    let network = tool(&network, 20).await?.text();
    // The clock of a container is its host's: there the boot begins with systemd.
    let is_container = Path::new("/run/systemd/container").exists();
    let userspace = seconds(&manager, "UserspaceTimestampMonotonic").unwrap_or_default();
    Ok(Some(BootTimes {
        start: if is_container { userspace } else { 0.0 },
        userspace,
        network: seconds(&network, "ActiveEnterTimestampMonotonic"),
        finished: seconds(&manager, "FinishTimestampMonotonic"),
    }))
}

/// systemd writes microseconds, and 0 for what was not reached.
fn seconds(text: &str, name: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    let microseconds: u64 = value.parse().ok().filter(|value| *value > 0)?;
    Some(microseconds as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_reached_has_no_time() {
        let text = "UserspaceTimestampMonotonic=1500000\nFinishTimestampMonotonic=0\n";
        assert_eq!(seconds(text, "UserspaceTimestampMonotonic"), Some(1.5));
        assert_eq!(seconds(text, "FinishTimestampMonotonic"), None);
        assert_eq!(seconds(text, "Other"), None);
    }
}
