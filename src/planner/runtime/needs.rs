//! What must be installed before the commands of a recipe run, in all directories that are built. Pure.

use std::path::{Path, PathBuf};

use super::recipe::{Need, Recipe};
use crate::plan::layout;
use crate::plan::{Archive, InstallTool};

impl Recipe {
    fn needs(&self) -> impl Iterator<Item = &Need> {
        self.parts().flat_map(|part| &part.needs)
    }

    pub fn archives(&self) -> impl Iterator<Item = &Archive> {
        self.needs().filter_map(|need| match need {
            Need::Archive(archive) => Some(archive),
            _ => None,
        })
    }

    pub fn tools(&self) -> impl Iterator<Item = &InstallTool> {
        self.needs().filter_map(|need| match need {
            Need::Tool(tool) => Some(tool),
            _ => None,
        })
    }

    pub fn packages(&self) -> impl Iterator<Item = &String> {
        self.needs().flat_map(|need| match need {
            Need::Packages(names) => names.as_slice(),
            _ => &[],
        })
    }

    pub fn scripts(&self) -> impl Iterator<Item = (&PathBuf, &'static str)> {
        self.needs().filter_map(|need| match need {
            Need::Script { path, text } => Some((path, *text)),
            _ => None,
        })
    }

    /// The directories of the recipe's runtimes that bootagent installed, and may remove later.
    pub fn runtimes(&self) -> Vec<PathBuf> {
        let version = |path: &String| {
            let inside = Path::new(path).strip_prefix(layout::RUNTIMES).ok()?;
            Some(Path::new(layout::RUNTIMES).join(inside.iter().take(2).collect::<PathBuf>()))
        };
        self.parts().flat_map(|part| &part.path).filter_map(version).collect()
    }
}
