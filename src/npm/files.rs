//! What the planner of a tree reads of the commit besides its lockfile.

/// Files of the commit, by paths relative to the project.
pub trait Files {
    /// `None` if it is absent, too long or not UTF-8.
    fn text(&self, path: &str) -> Option<String>;
    fn exists(&self, path: &str) -> bool;
    /// Names of the directories in a directory.
    fn directories(&self, path: &str) -> Vec<String>;
}
