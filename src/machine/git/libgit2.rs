//! libgit2's process-wide settings, made once before its first use. All `unsafe` calls of git2 are here.

use std::path::Path;
use std::sync::OnceLock;

use git2::{ConfigLevel, Repository, RepositoryOpenFlags};

use super::transport::transport;
use crate::error::{Code, Error, Result};
use crate::secret::ForeignText;

/// Every entry point calls this first.
pub(super) fn set_up() -> Result<()> {
    static DONE: OnceLock<Result<(), ForeignText>> = OnceLock::new();
    let done = DONE.get_or_init(|| settings().map_err(|error| ForeignText::message(error.message())));
    done.clone().map_err(|cause| Error::new(Code::Bug, "setting up libgit2", cause))
}

#[allow(unsafe_code)]
fn settings() -> Result<(), git2::Error> {
    // SAFETY: these write libgit2's globals without a lock. `OnceLock` runs them once, and libgit2 was not
    // used before: only the functions of this module tree use it, and each calls `set_up` first.
    unsafe {
        // No configuration but the repository's own: /etc/gitconfig and a home's .gitconfig could rewrite
        // addresses (url.insteadOf) or name credential helpers.
        for level in [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData] {
            git2::opts::set_search_path(level, "")?;
        }
        // The check keeps root from running what another user's .git/config names (hooks, pagers, monitors).
        // libgit2 runs none of it, root's child checks the owner by itself (`local.rs`), and the build user must
        // read what the fetching user wrote.
        git2::opts::set_verify_owner_validation(false)?;
        for scheme in ["http", "https", "ssh"] {
            git2::transport::register(scheme, transport)?;
        }
    }
    Ok(())
}

/// Opens this directory as a repository: not a `.git` in it, nor a repository above it.
pub(super) fn open(git_directory: &Path) -> Result<Repository, git2::Error> {
    let exactly = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT;
    Repository::open_ext(git_directory, exactly, [] as [&Path; 0])
}
