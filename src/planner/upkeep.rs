//! Steps that look after the machine: the swap file and the journal's limit of the policy, and SELinux's labels. Without swap or
//! limit the service runs as well: a failure of these steps is a warning.

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::steps::Steps;
use crate::facts::{Facts, Selinux};
use crate::fault::Phase;
use crate::observe::Selection;
use crate::plan::layout;
use crate::plan::{Action, LimitJournal, MakeSwap, RestoreLabels};

const SWAP_TEXT: &str =
    "# Written by bootagent, as [swap] of the policy says; do not edit: each run replaces this file.
[Unit]
Description=swap file

[Swap]
What=/var/lib/bootagent/swap
";

/// Adds the steps for swap file and journal. No step waits for them: they are done long before a build needs memory.
pub fn machine(steps: &mut Steps, facts: &Facts, selection: &Selection) {
    match selection.upkeep.swap {
        Some(mib) => swap(steps, facts, mib),
        None if facts.swap => no_swap(steps),
        None => {}
    }
    let limit = selection.upkeep.journal.as_ref();
    if limit.is_some() || facts.journal {
        let text = limit.map(|most| {
            format!("# Written by bootagent, as [journal] of the policy says; do not edit.\n[Journal]\nSystemMaxUse={most}\n")
        });
        let why = match limit {
            Some(_) => "the logs of all services take no more of the disk than that",
            None => "the policy no longer bounds the journal",
        };
        let action = Action::LimitJournal(LimitJournal { file: layout::JOURNAL_LIMIT.into(), text });
        steps.add("journal", why, action).after(&["remove-leftovers"]).within(Phase::Reload).optional();
    }
}

fn swap(steps: &mut Steps, facts: &Facts, mib: u64) {
    let unit = layout::SWAP_UNIT.to_owned();
    let why = "swaps again at every boot";
    steps
        .file("swap-unit", why, layout::unit_file(&unit), SWAP_TEXT.to_owned(), 0o644)
        .after(&["remove-leftovers"])
        .optional();
    steps
        .add("swap-reload", "systemd reads the unit", Action::ReloadUnit { unit: unit.clone() })
        .after(&["swap-unit"])
        .within(Phase::Reload)
        .optional();
    let path = layout::SWAP.into();
    let make = MakeSwap { path, mib, unit, labels: facts.machine.selinux.is_some() };
    let why = "a build may need more memory than the machine has";
    steps
        .add("swap", why, Action::MakeSwap(make))
        .after(&["state", "swap-reload"])
        .within(Phase::Start)
        .optional();
    let target = Path::new("..").join(layout::SWAP_UNIT);
    steps
        .link("swap-enable", "used from the beginning of each boot", enabled(), target)
        .after(&["swap"])
        .optional();
}

fn no_swap(steps: &mut Steps) {
    let unit = layout::SWAP_UNIT.to_owned();
    // The unit file is removed last: while it exists, a run after a killed one removes the rest.
    let scratch = vec![enabled(), layout::SWAP.into(), layout::unit_file(&unit)];
    let stop = Action::StopUnit { unit: unit.clone(), scratch };
    steps
        .add("swap-down", "the policy no longer has a swap file", stop)
        .after(&["remove-leftovers"])
        .within(Phase::Tidy)
        .optional();
    steps
        .add("swap-reload", "systemd forgets the unit", Action::ReloadUnit { unit })
        .after(&["swap-down"])
        .within(Phase::Reload)
        .optional();
}

fn enabled() -> PathBuf {
    Path::new("/etc/systemd/system/swap.target.wants").join(layout::SWAP_UNIT)
}

/// Adds the step that labels the release, and the runtimes and tools that it uses: they were unpacked elsewhere, and a file
/// keeps the label of the place where it was made. A file that root makes in its own directory has the right one.
pub fn labels(steps: &mut Steps, draft: &Draft) {
    if draft.wanted.facts.machine.selinux.is_none() {
        return;
    }
    let (release, layout) = (draft.release(), &draft.layout);
    let uses = draft.recipe.runtimes().into_iter().chain(draft.service.tools().cloned());
    let mut paths: Vec<PathBuf> = uses.collect();
    paths.push(release.to_owned());
    let needs = steps.before_finish();
    let action = RestoreLabels {
        paths,
        unit: layout.transient("labels"),
        done_by: super::finished::record(release, layout),
    };
    steps
        .add("labels", "systemd may execute what the build made", Action::RestoreLabels(action))
        .needing(needs)
        .within(Phase::Tidy);
    steps.built_by("labels");
}

/// What SELinux may refuse although all labels are right.
pub fn selinux_note(draft: &Draft) -> Option<String> {
    let wanted = draft.wanted;
    if wanted.facts.machine.selinux != Some(Selinux::Enforcing) {
        return None;
    }
    if draft.recipe.data_host().is_some() {
        return Some(
            "SELinux confines the distribution's database servers to the distribution's directories and ports: if it \
             refuses the data directory, ausearch -m avc says what it needs"
                .to_owned(),
        );
    }
    let has_nginx = wanted.manifest.proxy.is_some() || draft.recipe.site().is_some();
    has_nginx.then(|| {
        "SELinux confines nginx: a proxy needs setsebool -P httpd_can_network_connect on, and a port that is not among \
         semanage port -l | grep http_port_t needs to be added"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_that_of_the_file() {
        assert!(SWAP_TEXT.contains(&format!("What={}\n", layout::SWAP)));
        let name = layout::SWAP.trim_start_matches('/').replace('/', "-");
        assert_eq!(format!("{name}.swap"), layout::SWAP_UNIT);
    }
}
