//! Packages of the distribution: one file for each package manager, and what both have in common. Removes nothing, and
//! upgrades only what the wanted packages need.

mod apt;
mod dnf;
mod dpkg;
mod holder;
mod repositories;
mod rpm;

use std::path::Path;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::facts::PackageManager;
use crate::fault::{Fault, Phase};
use crate::machine::Check;
use crate::machine::disk::files;
use crate::machine::jail::unit::systemd_run;
use crate::machine::process::program::{self, Output, how_it_ended};
use crate::machine::process::units;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::machine::web::trust;
use crate::plan::{InstallPackages, Mode, Owner};
use crate::secret::ForeignText;

/// For a repository that cannot be reached.
const TRIES: u32 = 4;

pub async fn check(wanted: &InstallPackages) -> Result<Check> {
    let missing = missing(wanted).await?;
    Ok(match missing.is_empty() {
        true => Check::AlreadySo,
        false => Check::WouldChange(format!("{} absent", missing.join(", "))),
    })
}

/// Installs what is missing. Retries an unreachable repository; waits for locks for at most `wanted.wait`.
pub async fn install(wanted: &InstallPackages) -> Result<()> {
    match wanted.manager {
        PackageManager::Apt => apt::install(wanted).await,
        PackageManager::Dnf => dnf::install(wanted).await,
    }
}

async fn missing(wanted: &InstallPackages) -> Result<Vec<String>> {
    match wanted.manager {
        PackageManager::Apt => dpkg::missing(&wanted.names).await,
        PackageManager::Dnf => rpm::missing(&wanted.names).await,
    }
}

/// Repeats `attempt`, which gets the limit of its waits for a lock.
async fn retried(
    wanted: &InstallPackages,
    mut attempt: impl AsyncFnMut(RetryLimit) -> Result<()>,
) -> Result<()> {
    let lock = RetryLimit::lasting(wanted.wait.duration());
    let all = RetryLimit::lasting(Phase::Packages.seconds().duration()).tries(TRIES);
    // A lock has its own time limit (packages.wait): when that is over, no retry waits for it again.
    let done = with_retries(all, async || match attempt(lock).await {
        Err(error) if error.code() == Code::PackagesLocked => Ok(Err(error)),
        result => result.map(Ok),
    });
    done.await?
}

/// Fails while `holder` holds a lock, or the package manager of a killed run works, which does not always hold one.
async fn check_unlocked(wanted: &InstallPackages, holder: Option<String>) -> Result<()> {
    let cause = match holder {
        Some(holder) => holder,
        None if !units::state(&wanted.unit).await?.is_down() => {
            format!("{} of an earlier run is still running", wanted.unit)
        }
        None => return Ok(()),
    };
    Err(Fault::PackagesLocked.error(doing(wanted), cause))
}

/// Pauses before a retry if the package manager could not get a lock that `check_unlocked` saw free, until the time limit is
/// over. `said`: what it said.
async fn pause_for_lock(wanted: &InstallPackages, lock: RetryLimit, said: Vec<ForeignText>) -> Result<()> {
    if lock.left().is_zero() {
        let manager = wanted.manager.name();
        let cause = format!("{manager} cannot get a lock, although no process seems to hold it");
        return Err(Fault::PackagesLocked.error(doing(wanted), cause).saying(said));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// The certificates that the package manager trusts in place of the system's, if the policy has a CA file.
fn certificates(wanted: &InstallPackages) -> Result<Option<&'static str>> {
    const CERTIFICATES: &str = "/run/bootagent/packages-ca.pem";
    let Some(file) = &wanted.ca_file else { return Ok(None) };
    files::write(Path::new(CERTIFICATES), &trust::bundle(file.path())?, &Owner::root(), Mode(0o644))?;
    Ok(Some(CERTIFICATES))
}

/// Fails if something is still missing, although the package manager calls it done.
async fn verify(wanted: &InstallPackages, output: &Output) -> Result<()> {
    match missing(wanted).await?.is_empty() {
        true => Ok(()),
        false => Err(failed(wanted, output)),
    }
}

fn failed(wanted: &InstallPackages, output: &Output) -> Error {
    Fault::PackagesFailed.error(doing(wanted), how_it_ended(output)).saying(output.both_ends())
}

fn doing(wanted: &InstallPackages) -> String {
    format!("installing the packages {}", wanted.names.join(", "))
}

/// No repository has these.
fn absent(wanted: &InstallPackages, unknown: &[String]) -> Error {
    let cause = format!("this machine's repositories have no {}", unknown.join(", "));
    Fault::PackagesMissing.error(doing(wanted), cause)
}

/// In a transient unit, which continues if this run is killed: the next run can wait for it, while a killed dpkg or rpm leaves
/// packages half installed.
async fn run(wanted: &InstallPackages, argv: &[&str]) -> Result<Output> {
    let limit = Phase::Packages.seconds();
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let environment = wanted.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let line = systemd_run(&wanted.unit, [format!("RuntimeMaxSec={}", limit.0)], environment, &argv);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    units::forget_failed(&wanted.unit).await;
    program::run(&line, None, limit.duration() + Duration::from_secs(10), 64 << 10).await
}
