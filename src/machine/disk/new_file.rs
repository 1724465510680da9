//! Makes a file that does not exist, in a directory of the caller's: for `bootagent init`. Never replaces one.

use std::fs::{File, remove_file};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Coded, Result};

/// False if the name is taken: also by a symbolic link, which is not followed.
pub fn create(path: &Path, content: &[u8]) -> Result<bool> {
    let doing = || format!("writing {}", path.display());
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        opened => opened.doing(doing)?,
    };
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file would be taken for the whole one.
        let _ = remove_file(path);
    }
    written.doing(doing).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_free_is_written() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("new");
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        std::os::unix::fs::symlink("elsewhere", scratch.path().join("link")).unwrap();
        assert!(!create(&scratch.path().join("link"), b"two").unwrap());
        assert!(!scratch.path().join("elsewhere").exists());
        assert!(create(&scratch.path().join("absent/new"), b"two").is_err());
    }
}
