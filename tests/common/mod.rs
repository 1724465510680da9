//! What the tests that need no machine share: the real program, and repositories with stable commits.

#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(dead_code)]

use std::path::Path;
use std::process::Command;

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature, Time};

/// The program, with nothing of the caller's environment.
pub fn bootagent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootagent"));
    command.env_clear();
    command
}

/// Copies a tree, links as links.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes a git repository of `tree` at `at`, with one commit that only depends on the files, on every
/// one of `branches`.
pub fn repository(tree: &Path, at: &Path, branches: &[&str]) {
    copy(tree, at);
    let mut options = RepositoryInitOptions::new();
    options.external_template(false).initial_head(branches[0]);
    let repository = Repository::init_opts(at, &options).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["*"], IndexAddOption::FORCE, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    // The golden plans hold commits, which depend on this name.
    let author = Signature::new("Somebody", "somebody@example.com", &Time::new(1_700_000_000, 0)).unwrap();
    let commit = repository.commit(Some("HEAD"), &author, &author, "The service", &tree, &[]).unwrap();
    let commit = repository.find_commit(commit).unwrap();
    for branch in &branches[1..] {
        repository.branch(branch, &commit, false).unwrap();
    }
}
