//! Decides from its components alone whether a path or a link's target stays inside a tree; reads no disk.
//!
//! For trees of archives and repositories: an entry such as `../../etc/x` must not be written there (path traversal).

use std::path::{Component, Path};

/// Whether a path relative to the top of a tree stays inside it: no leading `/`, no `.` or `..`.
pub fn is_below(path: &Path) -> bool {
    path.components().all(is_plain)
}

/// Whether a symbolic link to `target`, `depth` directories below the top of its tree, stays inside. `..` may only come
/// first: behind another component, which may itself be a link, it could lead anywhere.
pub fn leads_below(depth: usize, target: &Path) -> bool {
    let up = target.components().take_while(|part| *part == Component::ParentDir).count();
    let rest = target.components().skip(up).all(is_plain);
    up <= depth && rest && target.components().count() > 0
}

fn is_plain(part: Component<'_>) -> bool {
    matches!(part, Component::Normal(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_below_the_top() {
        for path in ["a", "a/b", "a//b", "...", "a.b/..c"] {
            assert!(is_below(Path::new(path)), "{path}");
        }
        for path in ["/", "/a", "..", "a/..", "a/../b", "../a", "."] {
            assert!(!is_below(Path::new(path)), "{path} was let through");
        }
    }

    #[test]
    fn links_stay_in_their_tree() {
        for (depth, target) in [(1, "../lib/npm.js"), (0, "lib/npm.js"), (2, "../../x"), (3, "../y")] {
            assert!(leads_below(depth, Path::new(target)), "{target} at {depth}");
        }
        let bad =
            [(0, "../x"), (1, "../../x"), (1, "/etc/passwd"), (2, "a/../../../x"), (2, "a/.."), (0, "")];
        for (depth, target) in bad {
            assert!(!leads_below(depth, Path::new(target)), "{target} at {depth} was let through");
        }
    }
}
