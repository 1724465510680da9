//! How much memory there is, for an error about want of it.

pub fn state() -> String {
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
        None => "nobody knows how much memory the machine has".to_owned(),
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
        assert!(said("").starts_with("nobody knows"));
    }

    #[test]
    fn the_kernels_kills_are_counted() {
        assert_eq!(counted("nr_free_pages 7\noom_kill 3\noom_kill_x 9\n"), Some(3));
        assert_eq!(counted("nr_free_pages 7\n"), None);
        assert!(oom_kills().is_some(), "this kernel counts them");
    }
}
