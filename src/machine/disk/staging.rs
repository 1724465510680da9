//! A directory for a file on its way to or from S3, or out of a child process. Only root can enter it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::files;
use crate::error::{Coded, Result};
use crate::plan::{Mode, Owner, layout};

/// The directory. Removed when this is dropped.
pub struct Staging {
    path: PathBuf,
    /// Of a laptop.
    temporary: Option<TempDir>,
}

impl Staging {
    /// Of root: with a fixed name, so that the next run removes what a killed one left.
    pub fn new(root: bool, name: &str) -> Result<Staging> {
        if !root {
            let temporary = tempfile::tempdir().doing(|| "making a temporary directory".to_owned())?;
            return Ok(Staging { path: temporary.path().to_owned(), temporary: Some(temporary) });
        }
        let path = Path::new(layout::STAGING).join(name);
        files::directory(Path::new(layout::STATE), &Owner::root(), Mode(0o700))?;
        files::directory(Path::new(layout::STAGING), &Owner::root(), Mode(0o700))?;
        files::remove_tree(&path)?;
        files::directory(&path, &Owner::root(), Mode(0o755))?;
        Ok(Staging { path, temporary: None })
    }

    /// Lets a child process write here. The directory above is closed to all other processes but root's.
    pub fn open_to_a_child(&self) -> Result<()> {
        match self.temporary {
            Some(_) => Ok(()),
            None => files::directory(&self.path, &Owner::root(), Mode(0o777)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.temporary.is_none() {
            let _ = files::remove_tree(&self.path);
        }
    }
}
