//! Want of memory: whether a process ended by it, and how much there is, for an error about it.

/// As a shell tells it: ended by SIGKILL.
const KILLED: i32 = 137;
pub const BY_SIGKILL: &str = "it was killed by SIGKILL, as the kernel does for want of memory";

/// Whether a unit's process ended for want of memory, by its status and by systemd's words about it.
pub fn killed(status: Option<i32>, unit_ended: &str) -> Option<&'static str> {
    if unit_ended.contains("oom-kill") || unit_ended.contains("OOM killer") {
        return Some("the kernel killed it for want of memory");
    }
    (status == Some(KILLED) || unit_ended.contains("status=9/KILL")).then_some(BY_SIGKILL)
}

/// That, and what the machine has.
pub fn with_state(how: impl std::fmt::Display) -> String {
    format!("{how}; {}", state())
}

fn state() -> String {
    said(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

fn said(meminfo: &str) -> String {
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
        None => "how much memory the machine has cannot be read".to_owned(),
    }
}

/// How many processes the kernel has killed for want of memory since it was started, in any control group. A group's own
/// counter goes with the group, which ends with the service.
pub fn oom_kills() -> Option<u64> {
    counted(&std::fs::read_to_string("/proc/vmstat").ok()?)
}

fn counted(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_swap_are_named() {
        let info = "MemTotal:         495396 kB\nMemFree: 1 kB\nSwapTotal:            0 kB\n";
        assert_eq!(said(info), "the machine has 483 MiB of memory and no swap");
        let info = info.replace("SwapTotal:            0", "SwapTotal:      1048572");
        assert!(said(&info).ends_with("1023 MiB of swap"));
        assert!(said("").ends_with("cannot be read"));
    }

    #[test]
    fn the_kernels_kills_are_counted() {
        assert_eq!(counted("nr_free_pages 7\noom_kill 3\noom_kill_x 9\n"), Some(3));
        assert_eq!(counted("nr_free_pages 7\n"), None);
        assert!(oom_kills().is_some(), "this kernel counts them");
    }
}
