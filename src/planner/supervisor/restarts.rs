//! How systemd restarts a unit's program. Pure.

/// After a crash, the service is restarted soon, since requests fail meanwhile; but one that crashes again and again
/// must not take the CPU from other programs, such as a database that it waits for. With systemd 254 or newer the
/// pause grows. It depends on all restarts since the last `systemctl start`, so that the maximum also applies to one
/// crash a month, and is short. Older versions have one fixed pause.
pub fn restarts(systemd: Option<u32>) -> &'static str {
    const RESTART_STEPS_SINCE: u32 = 254;
    match systemd {
        Some(RESTART_STEPS_SINCE..) => {
            "Restart=always\nRestartSec=100ms\nRestartSteps=4\nRestartMaxDelaySec=2s\n"
        }
        _ => "Restart=always\nRestartSec=500ms\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_systemd_that_has_restart_steps_gets_them() {
        for old in [None, Some(219), Some(252), Some(253)] {
            assert!(
                restarts(old).contains("RestartSec=500ms\n") && !restarts(old).contains("Steps"),
                "{old:?}"
            );
        }
        for new in [254, 257] {
            let text = restarts(Some(new));
            assert!(text.contains("RestartSteps=") && text.contains("RestartMaxDelaySec="), "{text}");
        }
    }
}
