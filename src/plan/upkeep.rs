//! The actions that look after the machine rather than a service: its swap file, its journal, and SELinux's labels. Data only.

use std::path::PathBuf;

use serde::Serialize;

/// A swap file of this size, in use. It is made once: it stays as it is while its size does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MakeSwap {
    pub path: PathBuf,
    pub mib: u64,
    pub unit: String,
    /// Whether the file needs SELinux's label for swap files.
    pub labels: bool,
}

/// journald's limit on disk; none: journald's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitJournal {
    pub file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Gives files and directory trees the labels that SELinux's policy has for their paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreLabels {
    pub paths: Vec<PathBuf>,
    pub unit: String,
    /// If this record exists, the release is complete and has its labels.
    pub done_by: PathBuf,
}
