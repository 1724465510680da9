//! What a boot does not get of a working tree, and what should not be in a repository.

use std::collections::BTreeSet;

use super::super::runtime::LOCKFILES;
use super::Subject;
use super::warning::{Warning, warning};

/// Names that one line shows of a longer list.
const SHOWN: usize = 3;

pub fn warnings(subject: &Subject) -> Vec<Warning> {
    let found = [environment_file(subject), submodules(subject), not_committed(subject), ignored(subject)];
    found.into_iter().flatten().collect()
}

/// A developer's own `.env`, which git ignores or does not have, is usual.
fn environment_file(subject: &Subject) -> Option<Warning> {
    let tree = subject.tree;
    let is_committed = !tree.uncommitted.is_some_and(|found| found.absent.contains(".env"));
    let text = "the repository has a .env: everyone who can read the repository can read it, and the service does not get \
                it; its variables come from the secret and from env.values";
    (tree.source.has(".env") && is_committed).then(|| warning("env-file", text))
}

fn submodules(subject: &Subject) -> Option<Warning> {
    let text = "there is a .gitmodules: a boot fetches submodules of the same server and owner, and ends with E-SOURCE-SUBMODULE at \
                any other; what is in them is not looked at here";
    subject.tree.source.whole().has(".gitmodules").then(|| warning("submodules", text))
}

fn not_committed(subject: &Subject) -> Option<Warning> {
    let changed = &subject.tree.uncommitted?.changed;
    let text =
        format!("a boot takes the branch's commit, without what is not committed here: {}", listed(changed));
    (!changed.is_empty()).then(|| warning("uncommitted", text))
}

/// Files that this result depends on, and that no commit has because git ignores them.
fn ignored(subject: &Subject) -> Option<Warning> {
    let tree = subject.tree;
    let counts = |path: &&String| {
        tree.source.evidence.contains_key(*path) && path.as_str() != ".env"
            || LOCKFILES.contains(&path.as_str())
    };
    let ignored: BTreeSet<String> = tree.uncommitted?.ignored.iter().filter(counts).cloned().collect();
    let text = format!("git ignores {}: a boot does not have it", listed(&ignored));
    (!ignored.is_empty()).then(|| warning("ignored", text))
}

fn listed(paths: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = paths.iter().take(SHOWN).map(String::as_str).collect();
    match paths.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let paths = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed(&paths(&["a", "b", "c"])), "a, b, c");
        assert_eq!(listed(&paths(&["a", "b", "c", "d", "e"])), "a, b, c and 2 more");
    }
}
