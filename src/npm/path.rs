//! Paths in a lockfile, and what they may look like. An entry's path is where npm writes it, so a path that leads elsewhere
//! is refused.

use super::{Result, for_npm, quoted, refused};

/// In bytes. Linux has 4096 for a whole path, which also has the release's directory and the package's own files.
const LONGEST: usize = 2000;
const LONGEST_NAME: usize = 255;
const MODULES: &str = "node_modules";

/// Checks the path of an entry: relative, below the project, without `.` and `..`.
pub fn check(path: &str) -> Result<()> {
    let refuse = |why: &str| refused(format!("the lockfile has the path {}, which {why}", quoted(path)));
    if path.len() > LONGEST || path.split('/').any(|name| name.len() > LONGEST_NAME) {
        return refuse("is too long");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return refuse("has a backslash or a control character");
    }
    if path.starts_with('/') {
        return refuse("is absolute");
    }
    // A link to a directory beside the project. npm writes such a path.
    if path == ".." || path.starts_with("../") {
        return for_npm(format!("{} is outside of the project", quoted(path)));
    }
    let names: Vec<&str> = path.split('/').collect();
    if names.iter().any(|name| name.is_empty() || *name == "." || *name == "..") {
        return refuse("leads elsewhere");
    }
    // Of a directory that pnpm made (`node_modules/.pnpm/...`), or that npm left.
    check_packages(&names).or_else(|()| for_npm(format!("{} is not a place of a package", quoted(path))))
}

/// Behind each `node_modules` is the name of a package.
fn check_packages(names: &[&str]) -> std::result::Result<(), ()> {
    for (at, name) in names.iter().enumerate() {
        if *name != MODULES {
            continue;
        }
        let is_name = |name: Option<&&str>| {
            name.is_some_and(|name| !name.starts_with('.') && *name != MODULES && !name.starts_with('@'))
        };
        let (first, second, third) = (names.get(at + 1), names.get(at + 2), names.get(at + 3));
        let (is_package, next) = match first {
            Some(scope) if scope.starts_with('@') && scope.len() > 1 => (is_name(second), third),
            _ => (is_name(first), second),
        };
        if !is_package || next.is_some_and(|next| *next != MODULES) {
            return Err(());
        }
    }
    Ok(())
}

/// The name under which a package is required: `@scope/name` or `name`; `None` outside of node_modules.
pub fn name(path: &str) -> Option<&str> {
    let at = path.rfind("node_modules/")? + MODULES.len() + 1;
    path.get(at..)
}

/// The directory in which Node looks next for what the package at `path` requires: of the package that holds it, or of the
/// directory that holds it. `None` for the project.
pub fn holder(path: &str) -> Option<&str> {
    if path.is_empty() {
        return None;
    }
    if let Some(at) = path.rfind("node_modules/") {
        return Some(path.get(..at).unwrap_or_default().trim_end_matches('/'));
    }
    Some(path.rfind('/').map_or("", |at| path.get(..at).unwrap_or_default()))
}

/// `node_modules/NAME` in the package at `path`.
pub fn child(path: &str, name: &str) -> String {
    match path {
        "" => format!("{MODULES}/{name}"),
        path => format!("{path}/{MODULES}/{name}"),
    }
}

/// The `node_modules` that holds a package.
pub fn modules(path: &str) -> Option<&str> {
    let at = path.rfind("node_modules/")? + MODULES.len();
    path.get(..at)
}

/// `to` from the directory `from`: `../a/b`. Both are relative to the project.
pub fn relative(from: &str, to: &str) -> String {
    let parts =
        |path: &str| path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (parts(from), parts(to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    up.chain(to.into_iter().skip(common)).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npm::Obstacle;

    #[test]
    fn places_of_packages_and_workspaces_are_good() {
        for path in [
            "node_modules/a",
            "node_modules/@s/a",
            "node_modules/a/node_modules/b",
            "node_modules/@s/a/node_modules/@t/b",
            "packages/a",
            "packages/a/node_modules/b",
            "a",
            "node_modules/a.b",
            "node_modules/_x",
            "my node_modules/a",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let deep = format!("node_modules/{}", "a".repeat(256));
        let long = "node_modules/a/".repeat(200) + "node_modules/a";
        for path in [
            "/etc",
            "node_modules/../x",
            "node_modules/a/../../../x",
            "packages/../..",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "a\nb",
            "a\0",
            &deep,
            &long,
        ] {
            assert!(matches!(check(path), Err(Obstacle::Refused(_))), "{path}");
        }
        for path in [
            "../shared",
            "node_modules",
            "node_modules/.bin",
            "node_modules/.bin/x",
            "node_modules/.package-lock.json",
            "node_modules/.pnpm/a@1.0.0/node_modules/a",
            "node_modules/.a-q9YbYz3H",
            "node_modules/a/b",
            "node_modules/@s",
            "node_modules/@s/.x",
            "node_modules/@s/a/b",
            "node_modules/node_modules/a",
            "node_modules/@/a",
            "node_modules/a/node_modules",
        ] {
            assert!(matches!(check(path), Err(Obstacle::ForNpm(_))), "{path}");
        }
    }

    #[test]
    fn packages_are_looked_for_outwards() {
        fn all(path: &str) -> Vec<&str> {
            std::iter::successors(Some(path), |path| holder(path)).collect()
        }
        assert_eq!(
            all("node_modules/@s/a/node_modules/b"),
            ["node_modules/@s/a/node_modules/b", "node_modules/@s/a", ""]
        );
        assert_eq!(
            all("packages/a/node_modules/b"),
            ["packages/a/node_modules/b", "packages/a", "packages", ""]
        );
        assert_eq!((name("node_modules/@s/a"), name("packages/a")), (Some("@s/a"), None));
        assert_eq!(modules("packages/a/node_modules/@s/b"), Some("packages/a/node_modules"));
    }

    #[test]
    fn targets_of_links_are_relative() {
        for (from, to, relative_to) in [
            ("node_modules/.bin", "node_modules/a/cli.js", "../a/cli.js"),
            ("node_modules/@s", "packages/a", "../../packages/a"),
            ("node_modules", "packages/a", "../packages/a"),
            ("node_modules/a/node_modules/.bin", "node_modules/a/node_modules/@s/b/x", "../@s/b/x"),
        ] {
            assert_eq!(relative(from, to), relative_to);
        }
    }
}
