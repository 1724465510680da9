//! How a plan shows what looks after the machine.

use crate::plan::{LimitJournal, MakeSwap, RestoreLabels};

pub fn swap(swap: &MakeSwap) -> String {
    format!("swap to {} with {} MiB (root:root, 0600), made once", swap.path.display(), swap.mib)
}

pub fn journal(limit: &LimitJournal) -> String {
    let file = limit.file.display();
    match &limit.text {
        Some(_) => format!("bound the machine's journal by {file}"),
        None => format!("remove {file}: journald's own limit holds again"),
    }
}

pub fn labels(labels: &RestoreLabels) -> String {
    let paths = labels.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    format!("give SELinux's labels to {}", paths.join(" and "))
}
