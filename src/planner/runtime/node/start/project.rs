//! The packages that a start line is judged by: those of its workspace and of the root. Pure.

use super::word::Words;
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::node::workspace::Workspaces;

pub struct Project<'a> {
    pub package: &'a Package,
    pub workspaces: &'a Workspaces,
    /// Whether the repository's root has a file.
    pub has: &'a dyn Fn(&str) -> bool,
}

impl Project<'_> {
    /// The workspace that `cd DIRECTORY` enters from the root.
    pub fn enters(&self, part: &str, from: Option<&str>) -> Option<String> {
        let words = Words::of(part).filter(|words| words.len() == 2 && words.text(0) == "cd")?;
        let directory = words.text(1).trim_start_matches("./").trim_end_matches('/');
        (from.is_none() && self.workspaces.at(directory).is_some()).then(|| directory.to_owned())
    }

    /// The directory of the only workspace that has a script.
    pub fn only_one_with(&self, script: &str) -> Option<&str> {
        let mut all = self.workspaces.iter().filter(|(_, package)| package.script(script).is_some());
        let (directory, _) = all.next()?;
        all.next().is_none().then_some(directory)
    }

    pub fn package_in(&self, directory: Option<&str>) -> &Package {
        directory.and_then(|directory| self.workspaces.at(directory)).unwrap_or(self.package)
    }

    pub fn place(&self, directory: Option<&str>) -> Place<'_> {
        Place { package: self.package_in(directory), root: self.package, has: self.has }
    }
}

/// Where a line runs.
pub struct Place<'a> {
    pub package: &'a Package,
    /// The package of the root, whose packages a workspace finds, too.
    pub root: &'a Package,
    /// Whether the repository's root has a file.
    pub has: &'a dyn Fn(&str) -> bool,
}

impl Place<'_> {
    fn both(&self) -> [&Package; 2] {
        [self.package, self.root]
    }

    pub fn has_package(&self, name: &str) -> bool {
        self.both().iter().any(|package| package.has(name))
    }

    pub fn is_only_for_development(&self, name: &str) -> bool {
        self.both().iter().any(|package| package.is_only_for_development(name))
            && !self.both().iter().any(|package| package.depends_on(name))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        let lists = self.both().map(|package| {
            [&package.dependencies, &package.dev_dependencies, &package.optional_dependencies]
        });
        lists.into_iter().flatten().flat_map(|list| list.keys().map(String::as_str))
    }

    pub fn has_development(&self) -> bool {
        self.both().iter().any(|package| !package.dev_dependencies.is_empty())
    }
}
