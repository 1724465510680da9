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
}
