//! Resolves the symlinks of a tree without a disk: none may lead out of the tree, directly or through another one.

use std::collections::HashMap;

/// As in the kernel, which then fails with ELOOP.
const HOPS: usize = 40;

/// What a path of the tree is.
pub(super) enum Node<'a> {
    Directory,
    File,
    Symlink(&'a str),
}

/// Every path of the tree.
pub(super) type Nodes<'a> = HashMap<&'a str, Node<'a>>;

/// `Err` says why the symlink at `path` is refused. A target inside the tree need not exist: a build may create it.
pub(super) fn check(nodes: &Nodes<'_>, path: &str, target: &str) -> Result<(), &'static str> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut at: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    let mut todo = parts(target)?;
    let mut hops = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            go_up(nodes, &mut at)?;
            continue;
        }
        at.push(part);
        if let Some(Node::Symlink(target)) = nodes.get(at.join("/").as_str()) {
            hops += 1;
            if hops > HOPS {
                return Err("its target is a loop of symlinks");
            }
            at.pop();
            todo.extend(parts(target)?);
        }
    }
    Ok(())
}

/// The parts of a target, last one first.
fn parts(target: &str) -> Result<Vec<&str>, &'static str> {
    if target.is_empty() || target.contains(char::is_control) {
        return Err("its target is not a path");
    }
    if target.starts_with('/') {
        return Err("its target is an absolute path");
    }
    Ok(target.split('/').filter(|part| !part.is_empty() && *part != ".").rev().collect())
}

/// Applies `..`. It must follow a directory of the tree: anything else could later be a link that leads elsewhere.
fn go_up(nodes: &Nodes<'_>, at: &mut Vec<&str>) -> Result<(), &'static str> {
    if at.is_empty() {
        return Err("its target is outside the repository");
    }
    if !matches!(nodes.get(at.join("/").as_str()), Some(Node::Directory)) {
        return Err("its target has a .. after what is not a directory of the repository");
    }
    at.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Nodes<'static> {
        HashMap::from([
            ("a", Node::Directory),
            ("a/b", Node::Directory),
            ("a/file", Node::File),
            ("here", Node::Symlink(".")),
            ("to-b", Node::Symlink("a/b")),
            ("out", Node::Symlink("..")),
            ("etc", Node::Symlink("/etc")),
            ("round", Node::Symlink("a/again")),
            ("a/again", Node::Symlink("../round")),
            ("self", Node::Symlink("self")),
        ])
    }

    #[test]
    fn links_inside_the_tree_pass() {
        for (path, target) in [
            ("l", "a/file"),
            ("l", "./a//file"),
            ("a/b/l", "../file"),
            ("a/b/l", "../.."),
            ("l", "dist/not-built-yet.js"),
            ("l", "to-b/../file"),
            ("l", "here/here/a"),
            ("l", "..."),
        ] {
            assert_eq!(check(&nodes(), path, target), Ok(()), "{path} -> {target}");
        }
    }

    #[test]
    fn links_out_of_the_tree_are_refused() {
        for (path, target) in [
            ("l", "/etc/shadow"),
            ("l", ".."),
            ("l", "../x"),
            ("a/b/l", "../../../x"),
            ("l", "a/../../x"),
            // Harmless by itself, but not through the other symlink.
            ("l", "to-b/../../.."),
            ("l", "here/../x"),
            ("l", "out/x"),
            ("l", "etc/shadow"),
            ("l", "round"),
            ("l", "self"),
            // A build could create anything there.
            ("l", "dist/../x"),
            ("l", "a/file/../x"),
            ("l", ""),
            ("l", "a\nb"),
        ] {
            assert!(check(&nodes(), path, target).is_err(), "{path} -> {target} was let through");
        }
    }
}
