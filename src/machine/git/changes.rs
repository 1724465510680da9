//! What differs between a working tree and its last commit. For `bootagent validate`, which shows it and depends on
//! nothing of it: where git cannot tell, there is no answer.

use std::path::Path;

use git2::{Status, StatusOptions};

use super::{libgit2, local};
use crate::facts::Uncommitted;

/// Of exactly this directory, not of a repository above it. libgit2 runs no filter, hook or monitor of the repository.
pub fn uncommitted(path: &Path) -> Option<Uncommitted> {
    libgit2::set_up().ok()?;
    let repository = local::open(path).ok().filter(|repository| !repository.is_bare())?;
    let mut options = StatusOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(false)
        .include_ignored(true)
        .recurse_ignored_dirs(false)
        .exclude_submodules(true);
    let mut found = Uncommitted::default();
    for entry in repository.statuses(Some(&mut options)).ok()?.iter() {
        // A name that is not UTF-8 is counted as git shows it.
        let path = String::from_utf8_lossy(entry.path_bytes()).into_owned();
        let status = entry.status();
        let is_ignored = status.contains(Status::IGNORED);
        let is_new = status.intersects(Status::WT_NEW | Status::INDEX_NEW);
        if !path.contains('/') && (is_ignored || is_new) {
            found.absent.insert(path.clone());
        }
        match is_ignored {
            true if !path.contains('/') => drop(found.ignored.insert(path)),
            true => {}
            false => drop(found.changed.insert(path)),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use git2::{IndexAddOption, Repository, Signature, Time};

    use super::*;

    fn committed(files: &[(&str, &str)]) -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in files {
            fs::write(scratch.path().join(path), text).unwrap();
        }
        let repository = Repository::init(scratch.path()).unwrap();
        let mut index = repository.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let author = Signature::new("A", "a@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        repository.commit(Some("HEAD"), &author, &author, "x", &tree, &[]).unwrap();
        scratch
    }

    #[test]
    fn changed_new_and_ignored_files_are_told_apart() {
        let scratch =
            committed(&[("a.js", "1"), ("b.js", "1"), (".gitignore", "package-lock.json\nbuilt/\n")]);
        assert_eq!(uncommitted(scratch.path()), Some(Uncommitted::default()));
        for (path, text) in [("a.js", "22"), ("new.js", "1"), ("package-lock.json", "{}")] {
            fs::write(scratch.path().join(path), text).unwrap();
        }
        fs::create_dir(scratch.path().join("built")).unwrap();
        fs::write(scratch.path().join("built/x"), "1").unwrap();
        fs::remove_file(scratch.path().join("b.js")).unwrap();
        let found = uncommitted(scratch.path()).unwrap();
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(found.changed, paths(&["a.js", "b.js", "new.js"]));
        assert_eq!(found.absent, paths(&["new.js", "package-lock.json"]));
        assert_eq!(found.ignored, paths(&["package-lock.json"]));
    }

    #[test]
    fn without_git_there_is_no_answer() {
        let scratch = committed(&[("a.js", "1")]);
        fs::create_dir(scratch.path().join("below")).unwrap();
        assert_eq!(uncommitted(&scratch.path().join("below")), None);
        assert_eq!(uncommitted(Path::new("/absent")), None);
    }
}
