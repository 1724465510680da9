//! The actions that prepare and mount a volume for the service's data. Data only.

use std::path::PathBuf;

use serde::Serialize;

use crate::facts::Seconds;

/// Waits until the volume is attached, and formats it only if it is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrepareVolume {
    /// The name with which it is attached, or the volume's id.
    pub device: String,
    pub filesystem: FileSystem,
    pub label: String,
    pub wait: Seconds,
    /// The unit that formats it.
    pub unit: String,
}

/// Mounts the volume of this label, and gives its files to the service's user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MountVolume {
    /// The name with which it is attached, or the volume's id: another disk may have the same label.
    pub device: String,
    pub label: String,
    pub path: PathBuf,
    /// The mount unit.
    pub unit: String,
    /// The service's user; the group has the same name.
    pub user: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSystem {
    Ext4,
    Xfs,
}

impl FileSystem {
    pub const ALL: [FileSystem; 2] = [FileSystem::Ext4, FileSystem::Xfs];

    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }

    /// In characters.
    pub fn longest_label(self) -> usize {
        match self {
            FileSystem::Ext4 => 16,
            FileSystem::Xfs => 12,
        }
    }
}
