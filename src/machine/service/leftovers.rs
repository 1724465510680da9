//! What a killed run left: units that go on without it, and their scratch. And what killed dry runs left,
//! while those that live are not disturbed.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::machine::disk::files;
use crate::machine::disk::path_at::finished_name;
use crate::machine::process::units;
use crate::machine::{self, Check, blocking};
use crate::plan::layout;

struct Leftovers {
    units: Vec<String>,
    scratch: Vec<PathBuf>,
}

impl Leftovers {
    async fn of(patterns: &[String], scratch: &[PathBuf]) -> Result<Leftovers> {
        let observers = format!("{}.*.service", layout::FETCH);
        let mut units = units::listed(patterns).await?;
        let theirs = units::listed(&[observers]).await?;
        units.extend(theirs.into_iter().filter(|unit| is_of_the_gone(unit)));

        let mut left = Vec::new();
        for directory in [layout::PRIVATE, layout::CACHE].map(Path::new) {
            let names = files::names(directory)?;
            let gone = names.iter().map(|name| finished_name(name).unwrap_or(name));
            left.extend(gone.filter(|name| is_of_the_gone(name)).map(|name| directory.join(name)));
        }
        left.extend(standing(scratch)?);
        Ok(Leftovers { units, scratch: left })
    }
}

fn is_of_the_gone(name: &str) -> bool {
    layout::observer(name).is_some_and(|(pid, started)| machine::started(pid) != Some(started))
}

pub async fn check_unit(unit: &str, scratch: &[PathBuf]) -> Result<Check> {
    let state = units::state(unit).await?;
    let is_over = state.is_down() && standing(scratch)?.is_empty();
    Ok(if is_over { Check::AlreadySo } else { Check::WouldChange(state.active) })
}

pub async fn stop_unit(unit: &str, scratch: &[PathBuf]) -> Result<()> {
    units::stop(unit).await?;
    remove(standing(scratch)?).await
}

fn standing(scratch: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for path in scratch {
        if files::stands(path)? {
            left.push(path.clone());
        }
    }
    Ok(left)
}

async fn remove(scratch: Vec<PathBuf>) -> Result<()> {
    blocking(move || scratch.iter().try_for_each(|path| files::remove_tree(path))).await
}

pub async fn check(patterns: &[String], scratch: &[PathBuf]) -> Result<Check> {
    let Leftovers { mut units, scratch } = Leftovers::of(patterns, scratch).await?;
    units.extend(scratch.iter().map(|path| path.display().to_string()));
    Ok(if units.is_empty() { Check::AlreadySo } else { Check::WouldChange(units.join(", ")) })
}

/// The units first: they write into their scratch.
pub async fn clear(patterns: &[String], scratch: &[PathBuf]) -> Result<()> {
    let Leftovers { units: left, scratch } = Leftovers::of(patterns, scratch).await?;
    for unit in &left {
        units::stop(unit).await?;
    }
    remove(scratch).await
}
