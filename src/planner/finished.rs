//! What belongs to a release besides its directory: its record, what it uses, and where it is set aside. Pure.

use std::path::{Path, PathBuf};

use super::draft::Draft;
use crate::facts::Generation;
use crate::plan::Aside;
use crate::plan::layout::Layout;

/// Path of the record that a release is complete.
pub fn record(release: &Path, layout: &Layout) -> PathBuf {
    layout.finished().join(release.file_name().unwrap_or_default())
}

/// The paths for setting a release aside while its commit is built again.
pub fn aside(generation: &Generation, layout: &Layout) -> Aside {
    Aside {
        release: generation.release.clone(),
        record: record(&generation.release, layout),
        aside: layout.aside(&generation.release),
    }
}

/// The runtimes and tools that the release needs.
pub fn uses(draft: &Draft) -> Vec<PathBuf> {
    draft.recipe.runtimes().into_iter().chain(draft.service.tools().cloned()).collect()
}
