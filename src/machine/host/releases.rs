//! Releases as wholes: finished or not, kept or removed. That a release is finished is root's own
//! record, outside of what the build user can write.

use std::path::{Path, PathBuf};

use super::files;
use crate::error::{Coded, Result};
use crate::machine::Look;
use crate::machine::sandbox::unit::own_program;
use crate::plan::{Mode, Owner, Prune};

pub fn finish(release: &Path, record: &Path) -> Result<()> {
    files::flush(release)?;
    files::write(record, b"", &Owner::root(), Mode(0o600))
}

pub fn look_unfinished(release: &Path, record: &Path) -> Result<Look> {
    let unfinished = files::exists(release)? && !files::exists(record)?;
    Ok(if unfinished { Look::WouldChange("unfinished".into()) } else { Look::AlreadySo })
}

pub fn look_prune(prune: &Prune) -> Result<Look> {
    let surplus = surplus(prune)?;
    Ok(if surplus.is_empty() { Look::AlreadySo } else { Look::WouldChange(format!("{} more", surplus.len())) })
}

/// The record goes first: a release that is half removed must not count as whole.
pub fn prune(prune: &Prune) -> Result<()> {
    for name in surplus(prune)? {
        files::remove_file(&prune.records.join(&name))?;
        files::remove_tree(&prune.releases.join(&name))?;
    }
    Ok(())
}

fn surplus(prune: &Prune) -> Result<Vec<String>> {
    let mut names = files::names(&prune.releases)?;
    names.extend(files::names(&prune.records)?);
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !prune.keep.contains(name));
    Ok(names)
}

fn own_bytes() -> Result<(PathBuf, Vec<u8>)> {
    let program = own_program()?;
    let bytes = std::fs::read(&program).doing(|| format!("reading {}", program.display()))?;
    Ok((program, bytes))
}

pub fn look_agent(path: &Path) -> Result<Look> {
    let (program, bytes) = own_bytes()?;
    if program == path {
        return Ok(Look::AlreadySo);
    }
    match std::fs::read(path) {
        Ok(there) if there == bytes => Ok(Look::AlreadySo),
        Ok(_) => Ok(Look::WouldChange("another version".into())),
        Err(_) => Ok(Look::WouldChange("absent".into())),
    }
}

pub fn install_agent(path: &Path) -> Result<()> {
    let (_, bytes) = own_bytes()?;
    files::write(path, &bytes, &Owner::root(), Mode(0o755))
}
