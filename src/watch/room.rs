//! What is left of disks and memory: warns before a full disk or the kernel's OOM killer ends the service.

use std::collections::BTreeMap;
use std::time::Duration;

use super::log::Log;
use super::pause;
use crate::facts::{FileSystem, Resources};
use crate::machine::Attend;
use crate::plan::Watch;

const EVERY: Duration = Duration::from_secs(30);
/// Warn if less is left, in percent.
const LOW: u64 = 10;
/// A warning ends when more is left, in percent, so that it does not come and go.
const ENOUGH: u64 = 15;
/// More free space than this is enough on a disk of any size, in bytes.
const PLENTY: u64 = 2 << 30;

pub async fn attend(machine: &impl Attend, watch: &Watch, log: &Log) {
    let mut warned = BTreeMap::new();
    loop {
        let now = scarce(&machine.resources(&watch.room), &warned);
        for (what, text) in now.iter().filter(|(what, _)| !warned.contains_key(*what)) {
            log.event(format!("{what} is nearly full: {text}"));
        }
        for what in warned.keys().filter(|what| !now.contains_key(*what)) {
            log.event(format!("{what} has enough room again"));
        }
        log.warnings(now.iter().map(|(what, text)| format!("{what} is nearly full: {text}")).collect());
        warned = now;
        pause(EVERY).await;
    }
}

/// What is scarce, and how scarce.
fn scarce(resources: &Resources, warned: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut scarce = BTreeMap::new();
    let mut judge = |what: String, left: u64, all: u64, plenty: u64, text: String| {
        let least = if warned.contains_key(&what) { ENOUGH } else { LOW };
        let is_low = all > 0 && left < plenty && left.saturating_mul(100) < all.saturating_mul(least);
        if is_low {
            scarce.insert(what, text);
        }
    };
    for FileSystem { path, size, free, inodes, free_inodes } in &resources.disks {
        let path = path.display();
        let text = format!("{} of {} MiB are free", free >> 20, size >> 20);
        judge(format!("the disk at {path}"), *free, *size, PLENTY, text);
        let text = format!("{free_inodes} of {inodes} inodes are free");
        judge(format!("the table of files at {path}"), *free_inodes, *inodes, u64::MAX, text);
    }
    let Resources { memory, available, .. } = *resources;
    let text = format!("{} of {} MiB are available", available >> 20, memory >> 20);
    judge("the memory".to_owned(), available, memory, PLENTY, text);
    scarce
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn resources(free: u64, free_inodes: u64, available: u64) -> Resources {
        let disk =
            FileSystem { path: "/".into(), size: 8000 * MIB, free: free * MIB, inodes: 1000, free_inodes };
        Resources { disks: vec![disk], memory: 1000 * MIB, available: available * MIB }
    }

    fn warned(resources: &Resources, before: &BTreeMap<String, String>) -> Vec<String> {
        scarce(resources, before).into_keys().collect()
    }

    #[test]
    fn what_is_nearly_used_up_is_told() {
        let none = BTreeMap::new();
        assert_eq!(warned(&resources(4000, 900, 500), &none), Vec::<String>::new());
        assert_eq!(warned(&resources(799, 900, 500), &none), ["the disk at /"]);
        assert_eq!(warned(&resources(4000, 99, 500), &none), ["the table of files at /"]);
        assert_eq!(warned(&resources(4000, 900, 99), &none), ["the memory"]);
        assert_eq!(scarce(&resources(799, 900, 500), &none)["the disk at /"], "799 of 8000 MiB are free");
    }

    #[test]
    fn a_warning_ends_only_when_clearly_more_is_left() {
        let before = scarce(&resources(700, 900, 500), &BTreeMap::new());
        assert_eq!(warned(&resources(1100, 900, 500), &before), ["the disk at /"]);
        assert_eq!(warned(&resources(1300, 900, 500), &before), Vec::<String>::new());
    }

    #[test]
    fn a_large_disk_has_plenty_and_one_that_counts_no_inodes_has_no_warning() {
        let mut large = resources(3000, 0, 500);
        large.disks[0].size = 100_000 * MIB;
        large.disks[0].inodes = 0;
        assert_eq!(warned(&large, &BTreeMap::new()), Vec::<String>::new());
    }
}
