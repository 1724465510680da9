//! Measures caches of package managers, and removes them when they are too large. The build user writes them, so no
//! symbolic link in them is followed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::Result;
use crate::machine::Check;
use crate::machine::disk::files;
use crate::plan::BoundCache;

/// A cache with more entries counts as too large, whatever their size, so that measuring it ends.
const MOST_ENTRIES: usize = 1_000_000;

pub fn check(bound: &BoundCache) -> Result<Check> {
    let size = mib(&bound.path, bound.most_mib);
    Ok(if size > bound.most_mib {
        Check::WouldChange(format!("over {} MiB", bound.most_mib))
    } else {
        Check::AlreadySo
    })
}

pub fn empty(bound: &BoundCache) -> Result<()> {
    files::remove_tree(&bound.path)
}

/// What the tree takes on the disk, in MiB. Measures no further than to more than `enough`.
fn mib(path: &Path, enough: u64) -> u64 {
    /// The unit of st_blocks in stat(2).
    const BLOCK: u64 = 512;
    let (mut unread, mut bytes, mut entries) = (vec![path.to_owned()], 0u64, 0);
    while let Some(directory) = unread.pop() {
        // What is removed meanwhile, or cannot be read, does not count.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            bytes += about.blocks() * BLOCK;
            entries += 1;
            if bytes >> 20 > enough || entries > MOST_ENTRIES {
                return if entries > MOST_ENTRIES { u64::MAX } else { bytes >> 20 };
            }
            if about.is_dir() {
                unread.push(entry.path());
            }
        }
    }
    bytes >> 20
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn bound(path: &Path, most_mib: u64) -> BoundCache {
        BoundCache { path: path.to_owned(), most_mib }
    }

    #[test]
    fn a_cache_is_removed_only_above_its_limit() {
        let scratch = tempfile::tempdir().unwrap();
        let (cache, beside) = (scratch.path().join("npm"), scratch.path().join("beside"));
        assert_eq!(check(&bound(&cache, 1)).unwrap(), Check::AlreadySo, "there is none");
        fs::create_dir_all(cache.join("_cacache/content")).unwrap();
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("kept"), vec![1; 4 << 20]).unwrap();
        // A link's target does not count.
        symlink(&beside, cache.join("_cacache/link")).unwrap();
        fs::write(cache.join("_cacache/content/one"), vec![1; 2 << 20]).unwrap();
        assert_eq!(check(&bound(&cache, 3)).unwrap(), Check::AlreadySo);
        assert_eq!(check(&bound(&cache, 1)).unwrap(), Check::WouldChange("over 1 MiB".into()));
        empty(&bound(&cache, 1)).unwrap();
        assert!(!cache.exists() && beside.join("kept").exists());
    }
}
