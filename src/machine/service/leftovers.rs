//! Finds and removes what killed runs left: transient units that still run, and scratch directories. The units and
//! directories of dry runs that are still active are left alone.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::machine::container::build_network;
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
        let mut units = units::listed(&[patterns, &[observers]].concat()).await?;
        // Those of dry runs that are still active stay.
        units.retain(|unit| layout::observer(unit).is_none() || is_of_ended_run(unit));

        let mut left = Vec::new();
        for directory in [layout::PRIVATE, layout::CACHE].map(Path::new) {
            let names = files::names(directory)?;
            let names = names.iter().map(|name| finished_name(name).unwrap_or(name));
            left.extend(names.filter(|name| is_of_ended_run(name)).map(|name| directory.join(name)));
        }
        left.extend(existing(scratch)?);
        Ok(Leftovers { units, scratch: left })
    }
}

/// Whether the dry run whose pid and start time are in the name has ended.
fn is_of_ended_run(name: &str) -> bool {
    layout::observer(name).is_some_and(|(pid, started)| machine::started(pid) != Some(started))
}

pub async fn check_unit(unit: &str, scratch: &[PathBuf]) -> Result<Check> {
    let state = units::state(unit).await?;
    let is_over = state.is_down() && existing(scratch)?.is_empty();
    Ok(if is_over { Check::AlreadySo } else { Check::WouldChange(state.active) })
}

pub async fn stop_unit(unit: &str, scratch: &[PathBuf]) -> Result<()> {
    units::stop(unit).await?;
    remove(existing(scratch)?).await
}

fn existing(scratch: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for path in scratch {
        if files::exists_or_left(path)? {
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
    units.extend(build_network::is_closed()?.then(|| "the firewall rule of a build".to_owned()));
    Ok(if units.is_empty() { Check::AlreadySo } else { Check::WouldChange(units.join(", ")) })
}

/// Stops the units first: they write into the scratch directories.
pub async fn clear(patterns: &[String], scratch: &[PathBuf]) -> Result<()> {
    let Leftovers { units: left, scratch } = Leftovers::of(patterns, scratch).await?;
    for unit in &left {
        units::stop(unit).await?;
    }
    if build_network::is_closed()? {
        build_network::open().await?;
    }
    remove(scratch).await
}
