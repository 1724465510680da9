//! Whether a file is the one that an earlier run read. It is if its inode, size, mtime and ctime are the same: on a writable file system,
//! a file keeps its ctime through a change only if the machine's clock is set back, for which root is needed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

use crate::machine::now;

/// In seconds. A file that changed just now could change again within the same tick of its clock.
const SETTLED: i64 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SameFile {
    inode: u64,
    size: u64,
    /// In seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl SameFile {
    /// Of what was read before the file's content. `None` if it changed just now, or is not a regular file.
    pub fn of(data: &Metadata) -> Option<SameFile> {
        let age = i64::try_from(now()).ok()?.checked_sub(data.ctime())?;
        (data.is_file() && age > SETTLED).then(|| SameFile {
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that has not changed for a while.
    fn settled() -> Metadata {
        std::fs::metadata("/proc/self/exe").unwrap()
    }

    #[test]
    fn a_file_is_another_one_if_anything_differs() {
        if now() as i64 - settled().ctime() <= SETTLED {
            std::thread::sleep(std::time::Duration::from_secs(3));
        }
        let file = SameFile::of(&settled()).unwrap();
        let changes: [fn(&mut SameFile); 4] = [
            |file| file.inode += 1,
            |file| file.size += 1,
            |file| file.modified.1 += 1,
            |file| file.changed.1 += 1,
        ];
        for change in changes {
            let mut other = file.clone();
            change(&mut other);
            assert_ne!(file, other);
        }
        assert_eq!(SameFile::of(&settled()), Some(file));
    }

    #[test]
    fn a_file_that_changed_just_now_and_a_directory_are_not_known() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("x"), "x").unwrap();
        assert_eq!(SameFile::of(&scratch.path().join("x").metadata().unwrap()), None);
        assert_eq!(SameFile::of(&std::fs::metadata("/").unwrap()), None);
    }
}
