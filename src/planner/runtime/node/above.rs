//! A service in a directory that is a workspace of the repository: its packages are installed in the root, by the root's
//! lockfile, and what it needs of other workspaces is built before it. All else is as if the directory were the root. Pure.

use super::forms;
use super::manager::LOCKFILES;
use super::package::{self, Package};
use super::workspace::{Workspaces, workspaces};
use crate::facts::Source;
use crate::planner::unmet::Unmet;

/// The project in the root, and the directory of the service's workspace.
pub struct Above<'a> {
    pub source: &'a Source,
    pub package: Package,
    pub workspaces: Workspaces,
    pub directory: &'a str,
}

/// None if the service has a lockfile of its own, or is not one of the root's workspaces.
pub fn above(seen: &Source) -> Result<Option<Above<'_>>, Unmet> {
    let (source, Some(directory)) = (seen.whole(), seen.directory()) else { return Ok(None) };
    if LOCKFILES.iter().any(|path| seen.has(path)) || forms::file(source).is_none() {
        return Ok(None);
    }
    let package = package::package(source)?;
    // As a line that starts it, so that it is looked into, however many there are.
    let workspaces = workspaces(source, &package, &[&format!("cd {directory}")])?;
    let is_one = workspaces.at(directory).is_some();
    Ok(is_one.then_some(Above { source, package, workspaces, directory }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;

    fn is_found(files: &[(&str, &str)], directory: &str) -> bool {
        above(&source(files).seen_from(directory)).unwrap().is_some()
    }

    #[test]
    fn a_workspace_without_a_lockfile_is_installed_from_the_root() {
        let root = ("package.json", r#"{"workspaces": ["apps/*"]}"#);
        let api = ("apps/api/package.json", "{}");
        assert!(is_found(&[root, api], "apps/api"));
        assert!(!is_found(&[root, api, ("apps/api/package-lock.json", "")], "apps/api"));
        assert!(!is_found(&[root, ("tools/api/package.json", "{}")], "tools/api"));
        assert!(!is_found(&[("package.json", "{}"), api], "apps/api"));
        assert!(!is_found(&[api], "apps/api"));
        assert!(is_found(
            &[("package.json", "{}"), ("pnpm-workspace.yaml", "packages: [apps/*]"), api],
            "apps/api"
        ));
        assert!(above(&source(&[root, api])).unwrap().is_none());
    }
}
