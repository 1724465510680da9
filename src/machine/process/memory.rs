//! Whether the OOM killer ended a process, and how much memory the machine has, for the error message. Reads only.

/// The exit status by which a shell reports SIGKILL: 128 + 9.
const KILLED: i32 = 137;
pub const BY_SIGKILL: &str = "it was killed by SIGKILL, as the kernel does for lack of memory";

/// The cause if a unit's process probably ended for lack of memory, judged by its exit status and by systemd's messages
/// about the unit.
pub fn killed(status: Option<i32>, unit_ended: &str) -> Option<&'static str> {
    if unit_ended.contains("oom-kill") || unit_ended.contains("OOM killer") {
        return Some("the kernel killed it for lack of memory");
    }
    (status == Some(KILLED) || unit_ended.contains("status=9/KILL")).then_some(BY_SIGKILL)
}

/// The cause, followed by the memory and swap of the machine.
pub fn with_state(cause: impl std::fmt::Display) -> String {
    format!("{cause}; {}", state(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()))
}

fn state(meminfo: &str) -> String {
    let mib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
    };
    let swap = match mib("SwapTotal") {
        Some(0) | None => "no swap".to_owned(),
        Some(swap) => format!("{swap} MiB of swap"),
    };
    match mib("MemTotal") {
        Some(memory) => format!("the machine has {memory} MiB of memory and {swap}"),
        None => "the machine's memory is unknown".to_owned(),
    }
}

/// How many processes the OOM killer has ended since the boot, in all control groups. The counter of the service's own
/// group is not used: systemd removes the group when the service ends.
pub fn oom_kills() -> Option<u64> {
    parse_oom_kills(&std::fs::read_to_string("/proc/vmstat").ok()?)
}

fn parse_oom_kills(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_swap_are_named() {
        let info = "MemTotal:         495396 kB\nMemFree: 1 kB\nSwapTotal:            0 kB\n";
        assert_eq!(state(info), "the machine has 483 MiB of memory and no swap");
        let info = info.replace("SwapTotal:            0", "SwapTotal:      1048572");
        assert!(state(&info).ends_with("1023 MiB of swap"));
        assert!(state("").ends_with("unknown"));
    }

    #[test]
    fn the_kernels_kills_are_counted() {
        assert_eq!(parse_oom_kills("nr_free_pages 7\noom_kill 3\noom_kill_x 9\n"), Some(3));
        assert_eq!(parse_oom_kills("nr_free_pages 7\n"), None);
        assert!(oom_kills().is_some(), "this kernel counts them");
    }
}
