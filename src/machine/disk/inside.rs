//! Whether a path stays in the tree that it is of, by its words alone: nothing here looks at a disk.
//!
//! Trees come from archives and repositories, and what they name must not be written anywhere else.

use std::path::{Component, Path};

/// Whether a path, taken from the top of a tree, is of something in the tree: no `/` before it, no `..` in it.
pub fn is_below(path: &Path) -> bool {
    path.components().all(is_plain)
}

/// Whether a link with this target, that many directories below the top of its tree, stays in the tree. `..` may only
/// come first: behind anything else it could go back through another link.
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
