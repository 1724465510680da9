//! What is known of the file that lists the packages to install. Data only.

use super::requirements::Names;

/// The file that says what is to be installed.
pub struct Found {
    pub kind: Kind,
    pub path: &'static str,
    /// The packages that it names; nothing where it is too long to be read here.
    pub names: Option<Names>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uv,
    Poetry,
    Pdm,
    Pipfile,
    Requirements,
    /// No packages at all, as that file shows.
    Nothing,
}

impl Found {
    pub fn needs_uv(&self) -> bool {
        self.kind == Kind::Uv
    }

    pub fn needs_no_packages(&self) -> bool {
        self.kind == Kind::Nothing
    }

    /// Whether a package is among them, as far as that is known.
    pub fn has(&self, name: &str) -> Option<bool> {
        self.names.as_ref().map(|names| names.contains(name))
    }
}
