//! The sign of a step in a plan's text.

use crate::plan::{Action, Preview};

/// `+` create, `~` change, `>` run, `-` remove, `=` unchanged.
pub fn sign(action: &Action, preview: Option<&Preview>) -> char {
    match (action, preview) {
        (_, Some(preview)) if preview.already => '=',
        (
            Action::MakeDirectory { .. }
            | Action::WriteFile { .. }
            | Action::SwitchSymlink { .. }
            | Action::InstallAgent { .. },
            Some(preview),
        ) if preview.how != "absent" => '~',
        (
            Action::RemoveFile { .. }
            | Action::DiscardUnfinished { .. }
            | Action::PruneReleases(_)
            | Action::PruneRuntimes(_)
            | Action::PruneImages(_)
            | Action::StopContainer(_)
            | Action::StopLeftovers { .. },
            _,
        ) => '-',
        (
            Action::RunCommand(_)
            | Action::RunHooks(_)
            | Action::ConfigureEngine(_)
            | Action::Evaluate(_)
            | Action::Migrate(_)
            | Action::InitializeData(_)
            | Action::PrepareVolume(_)
            | Action::MountVolume(_)
            | Action::EnsureRunning(_)
            | Action::AwaitHealth(_)
            | Action::AwaitAddresses { .. }
            | Action::ReloadUnit { .. }
            | Action::StopUnit { .. }
            | Action::LoadImdsRules(_)
            | Action::ProveImdsRules { .. }
            | Action::Signal(_)
            | Action::SignalStack(_),
            _,
        ) => '>',
        _ => '+',
    }
}
