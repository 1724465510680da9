//! Where the service's volume is mounted, and which package it needs. Adds no steps.

use std::path::PathBuf;

use crate::observe::manifest::Manifest;
use crate::plan::FileSystem;
use crate::plan::layout::Layout;

/// The package with the programs of XFS.
pub const XFS: &str = "xfsprogs";

/// The path at which the volume is mounted; none without one.
pub fn path(manifest: &Manifest, layout: &Layout) -> Option<PathBuf> {
    let volume = manifest.volume.as_ref()?;
    Some(volume.mount.as_ref().map_or_else(|| layout.data().join("volume"), PathBuf::from))
}

/// Whether the volume's programs need a package.
pub fn packages(manifest: &Manifest) -> Option<&'static str> {
    manifest.volume.as_ref().filter(|volume| volume.filesystem == FileSystem::Xfs).map(|_| XFS)
}
