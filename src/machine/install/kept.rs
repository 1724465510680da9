//! Lists the finished releases of a service. Changes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::releases;
use crate::error::{Coded, Result};
use crate::facts::{Commit, Service};
use crate::machine::disk::files;
use crate::plan::layout::Layout;

/// A finished release whose directory exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub commit: Commit,
    pub path: PathBuf,
    /// Seconds since 1970.
    pub finished: u64,
}

/// The finished releases of a service, the newest first.
pub fn of(service: &Service) -> Result<Vec<Release>> {
    let layout = Layout::new(service);
    let mut kept = Vec::new();
    for name in files::names(&layout.finished())? {
        let (path, record) = (layout.releases().join(&name), layout.finished().join(&name));
        let commit = name.split_once('-').and_then(|(commit, _)| Commit::try_from(commit).ok());
        let Some(commit) = commit.filter(|_| releases::is_whole(&path, &record).unwrap_or(false)) else {
            continue;
        };
        let data = std::fs::symlink_metadata(&record).doing(|| format!("looking at {}", record.display()))?;
        kept.push(Release { commit, path, finished: u64::try_from(data.mtime()).unwrap_or(0) });
    }
    kept.sort_by_key(|release| std::cmp::Reverse(release.finished));
    Ok(kept)
}
