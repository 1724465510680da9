//! The repository that a fetch fills: new, bare, and without anything of a user.

use std::path::Path;

use git2::Repository;

use crate::error::{Code, Error, Result};
use crate::secret::ForeignText;

/// A bare repository without template and configuration of a user, which could add hooks or rewrite addresses.
pub(super) fn empty_repository(scratch: &Path) -> Result<Repository> {
    let doing = || format!("preparing {}", scratch.display());
    let mut entries = scratch.read_dir().map_err(|error| Error::new(Code::Io, doing(), error))?;
    if entries.next().is_some() {
        return Err(Error::new(Code::Io, doing(), "it is not empty"));
    }
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true).mkdir(false).mkpath(false);
    Repository::init_opts(scratch, &options)
        .map_err(|error| Error::of_the_disk(doing(), ForeignText::message(error.message())))
}
