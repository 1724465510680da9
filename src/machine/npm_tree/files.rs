//! The commit's files, for the pure part.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use crate::npm::Files;

/// In bytes.
const LARGEST: u64 = 64 << 20;

/// The project in its directory.
pub struct Project(pub PathBuf);

impl Files for Project {
    fn text(&self, path: &str) -> Option<String> {
        read(&self.0.join(path))
    }

    fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.0.join(path)).is_ok()
    }

    fn directories(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_file()));
        directories.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// A regular file of UTF-8 text; `None` if it is something else, or too large.
pub fn read(path: &std::path::Path) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let read = File::open(path).ok()?.take(LARGEST + 1).read_to_string(&mut text).ok()?;
    (read as u64 <= LARGEST).then_some(text)
}
