//! Installs missing OS packages with dnf. Waits for the process that holds a lock of dnf or rpm, and names it. dnf fetches its
//! lists of packages itself; they are fetched anew only if they lack a wanted package, or name files that are gone.

use std::path::Path;

use super::{
    absent, certificates, check_unlocked, doing, failed, pause_for_lock, repositories, retried, rpm, run,
    verify,
};
use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::fault::words::dnf::{Complaint, complaint};
use crate::machine::process::program::Output;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::plan::InstallPackages;

const DNF: &str = "/usr/bin/dnf";
/// dnf's exit status if another process has its lock.
const LOCKED: i32 = 200;
/// No questions; nothing that is only recommended; an error for a package that is not there, instead of going on without it;
/// an end at once where dnf would wait for a lock without a limit; and no package is kept that is installed.
const OPTIONS: [&str; 8] = [
    "--assumeyes",
    "--setopt=install_weak_deps=False",
    "--setopt=strict=True",
    "--setopt=exit_on_lock=True",
    "--setopt=keepcache=False",
    "--setopt=retries=3",
    "--setopt=timeout=30",
    "--setopt=clean_requirements_on_remove=False",
];

pub async fn install(wanted: &InstallPackages) -> Result<()> {
    if !Path::new(DNF).exists() {
        let cause = format!("the machine has no {DNF}");
        return Err(Error::new(Code::PackagesUnsupported, doing(wanted), cause));
    }
    let mut refreshed = false;
    retried(wanted, async |lock| attempt(wanted, lock, &mut refreshed).await).await
}

async fn attempt(wanted: &InstallPackages, lock: RetryLimit, refreshed: &mut bool) -> Result<()> {
    loop {
        with_retries(lock, async || check_unlocked(wanted, rpm::lock_holder().await).await).await?;
        let missing = rpm::missing(&wanted.names).await?;
        if missing.is_empty() {
            return Ok(());
        }
        repositories::ensure(wanted).await?;
        let output = dnf(wanted, *refreshed, &missing).await?;
        let found = match output.status {
            Some(0) => return verify(wanted, &output).await,
            Some(LOCKED) => {
                pause_for_lock(wanted, lock, output.both_ends()).await?;
                continue;
            }
            _ => complaint(&output.lines(), &missing),
        };
        match found {
            Some(Complaint::Absent(_) | Complaint::Stale(_)) if !*refreshed => *refreshed = true,
            Some(Complaint::Absent(names)) => return Err(absent(wanted, &names)),
            Some(Complaint::Stale(cause) | Complaint::Unreachable(cause)) => {
                return Err(said(Fault::PackagesUnreachable.error(doing(wanted), cause), &output));
            }
            Some(Complaint::Untrusted(cause)) => {
                return Err(said(Fault::PackagesUntrusted.error(doing(wanted), cause), &output));
            }
            Some(Complaint::NoRoom(cause)) => {
                return Err(said(Fault::DiskFull.error(doing(wanted), cause), &output));
            }
            Some(Complaint::NoRepository(cause)) => {
                let error = Fault::PackagesMissing.error(doing(wanted), cause).remedy(
                    "enable the distribution's repositories (RHEL: register the system), or name one in [dnf.NAME] of the policy",
                );
                return Err(said(error, &output));
            }
            None => return Err(failed(wanted, &output)),
        }
    }
}

async fn dnf(wanted: &InstallPackages, refresh: bool, missing: &[String]) -> Result<Output> {
    let mut argv = vec![DNF];
    argv.extend(OPTIONS);
    let trusted = certificates(wanted)?.map(|file| format!("--setopt=sslcacert={file}"));
    argv.extend(trusted.as_deref());
    argv.extend(refresh.then_some("--refresh"));
    argv.push("install");
    argv.extend(missing.iter().map(String::as_str));
    run(wanted, &argv).await
}

fn said(error: Error, output: &Output) -> Error {
    error.saying(output.both_ends())
}
