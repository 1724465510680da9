//! Reads a directory as a commit would be read, for `bootagent validate`: its entries, and the texts that the planner
//! asks for. Follows no symbolic links.

use std::path::Path;

use crate::error::{Code, Coded, Error, Result};
use crate::facts::{Branch, Commit, Entry, EntryKind, LONGEST_EVIDENCE, Listing, Source, requested};

/// Directories that commits do not have: packages, caches, git's own files.
const NOT_COMMITTED: &[&str] =
    &[".git", "node_modules", ".venv", "venv", "__pycache__", ".next", ".nuxt", ".output", ".yarn", ".cache"];
/// Deeper directories and further entries name no workspace and no application.
const DEEPEST: usize = 5;
const MOST_ENTRIES: usize = 20_000;

/// The commit's name is all zeros: the files may differ from every commit.
pub fn working_tree(path: &Path, evidence: &[String]) -> Result<Source> {
    let doing = || format!("reading the directory {}", path.display());
    let mut source = Source {
        repository: path.display().to_string(),
        branch: Branch::try_from("main").doing(doing)?,
        commit: Commit::try_from("0".repeat(40)).doing(doing)?,
        entries: Vec::new(),
        directories: Vec::new(),
        gitlinks: Vec::new(),
        evidence: Default::default(),
        unread: Default::default(),
        is_manifest: false,
        signed_by: None,
        copy: None,
        absent: Default::default(),
        listing: Listing::whole(),
    };
    source.directories = list(&mut source.entries, path, "").map_err(|error| {
        Error::new(Code::Usage, doing(), error).remedy("give the directory of a service's repository")
    })?;
    let mut above = source.directories.clone();
    for _ in 1..DEEPEST {
        let mut next = Vec::new();
        for directory in above.iter().filter(|directory| is_committed(directory)) {
            // A directory that cannot be read has nothing to say.
            let below = list(&mut source.entries, path, directory).unwrap_or_default();
            next.extend(below.iter().map(|name| format!("{directory}/{name}")));
        }
        above = next;
    }
    for wanted in evidence {
        read_evidence(&mut source, path, wanted)?;
    }
    source.entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(source)
}

fn is_committed(directory: &str) -> bool {
    directory.rsplit('/').next().is_none_or(|name| !NOT_COMMITTED.contains(&name))
}

/// Adds the files of one directory, and returns the names of the directories in it.
fn list(entries: &mut Vec<Entry>, tree: &Path, directory: &str) -> std::io::Result<Vec<String>> {
    let mut directories = Vec::new();
    for entry in std::fs::read_dir(tree.join(directory))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        match entry.file_type()? {
            kind if kind.is_dir() => directories.push(name),
            _ if entries.len() >= MOST_ENTRIES => {}
            kind if kind.is_symlink() => entries.push(Entry { path, kind: EntryKind::Symlink }),
            kind if kind.is_file() => entries.push(Entry { path, kind: EntryKind::File }),
            _ => {}
        }
    }
    directories.sort();
    Ok(directories)
}

fn read_evidence(source: &mut Source, tree: &Path, wanted: &str) -> Result<()> {
    let path = tree.join(requested(wanted));
    let doing = || format!("reading {}", path.display());
    // A directory that is a symbolic link is not followed, as it would not be in a commit.
    let above = path.ancestors().skip(1).take_while(|above| *above != tree);
    let leads_elsewhere = above.into_iter().any(|above| above.is_symlink());
    let about = match path.symlink_metadata() {
        Ok(about) if !leads_elsewhere && !about.is_dir() => about,
        _ => {
            source.miss(wanted);
            return Ok(());
        }
    };
    let kind = if about.is_symlink() { EntryKind::Symlink } else { EntryKind::File };
    source.record(wanted, (kind, about.len()), LONGEST_EVIDENCE, || std::fs::read(&path).doing(doing))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_below_the_root_are_listed_but_not_those_of_packages() {
        let scratch = tempfile::tempdir().unwrap();
        for path in ["shop/app.py", "apps/api/package.json", "node_modules/x/package.json", "server.js"] {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        fs::create_dir(scratch.path().join("logs")).unwrap();
        std::os::unix::fs::symlink("/etc", scratch.path().join("shop/elsewhere")).unwrap();
        let source = working_tree(scratch.path(), &[]).unwrap();
        let paths: Vec<&str> = source.entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["apps/api/package.json", "server.js", "shop/app.py", "shop/elsewhere"]);
        assert!(source.has_directory("logs") && !source.has_directory("elsewhere"));
    }
}
