//! What a killed run left: units that go on without it, and their scratch.

use std::path::PathBuf;

use super::{blocking, files, units};
use crate::error::Result;
use crate::machine::Look;

pub async fn look(patterns: &[String], scratch: &[PathBuf]) -> Result<Look> {
    let mut left = units::listed(patterns).await?;
    for path in scratch {
        if files::exists(path)? {
            left.push(path.display().to_string());
        }
    }
    Ok(if left.is_empty() { Look::AlreadySo } else { Look::WouldChange(left.join(", ")) })
}

/// The units first: they write into their scratch.
pub async fn clear(patterns: &[String], scratch: &[PathBuf]) -> Result<()> {
    for unit in units::listed(patterns).await? {
        units::stop(&unit).await?;
    }
    let scratch = scratch.to_vec();
    blocking(move || scratch.iter().try_for_each(|path| files::remove_tree(path).map(drop))).await
}
