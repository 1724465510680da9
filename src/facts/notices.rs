//! What is announced of the instance's end, and what is left of its disks and its memory. Plain data.

use std::path::PathBuf;

/// What IMDS announces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// The Auto Scaling state that the instance goes to or has; absent outside of a group.
    pub state: Option<String>,
    /// EC2 interrupts this Spot instance.
    pub spot: Option<Spot>,
    /// EC2 expects to interrupt this Spot instance sooner than others.
    pub rebalance: bool,
}

/// The notice of a Spot interruption, about two minutes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When, in seconds since 1970; absent if the notice has no time that can be read.
    pub at: Option<u64>,
}

/// What is left of disks and memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Each file system once.
    pub disks: Vec<FileSystem>,
    pub memory: u64,
    /// What new programs can get without swapping.
    pub available: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The watched directory that is on it.
    pub path: PathBuf,
    pub size: u64,
    /// For users other than root.
    pub free: u64,
    /// 0: it does not count them.
    pub inodes: u64,
    pub free_inodes: u64,
}
