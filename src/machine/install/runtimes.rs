//! Installs and prunes runtimes. A child process downloads and unpacks an archive; root adopts the tree, flushes it to
//! disk, and only then gives it its name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::renameat;
use nix::unistd::fsync;

use crate::error::{Code, Coded, Error, Result};
use crate::fault::{Fault, Phase};
use crate::machine::disk::path_at::Place;
use crate::machine::disk::{adopt, files};
use crate::machine::jail::ask::{ask, ask_in};
use crate::machine::jail::child::Role;
use crate::machine::jail::request::{ArchiveRequest, DocumentRequest, read_reply};
use crate::machine::jail::unit::{TransientUnit, User, own_program};
use crate::machine::process::units;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::machine::{Check, blocking};
use crate::plan::{Archive, InstallRuntime, Mode, Owner, PruneRuntimes, Seconds, layout};

/// Where the child's directory is mounted for it.
const MOUNT: &str = "/mnt/runtime";
/// Less than the step's time limit, because the child's error says more than the step's.
const DOWNLOAD: Duration = Duration::from_secs(Phase::Runtime.seconds().0 - 10);
/// An archive must not exhaust the machine's memory while it is unpacked.
const MEMORY: &str = "MemoryMax=512M";

/// Downloads a text, in a transient unit of this name with a dynamic user; without a name, on a laptop, as the caller.
pub async fn document(request: DocumentRequest, unit: Option<&str>, patience: Seconds) -> Result<String> {
    let patience = RetryLimit::lasting(patience.min(Phase::Runtime.seconds()).duration());
    let deadline = Phase::Conversation.seconds().duration();
    with_retries(patience, async || match unit {
        None => {
            let document = ask(&own_program()?, Role::Document, &request, deadline).await;
            document.map_err(|error| stalled(error, &request.address))
        }
        Some(unit) => {
            let transient = TransientUnit::new(unit, User::Dynamic, deadline).property(MEMORY);
            reply(transient, Role::Document, &request, &request.address).await
        }
    })
    .await
}

async fn reply<T: serde::de::DeserializeOwned + Send + 'static>(
    transient: TransientUnit,
    role: Role,
    request: &impl serde::Serialize,
    address: &str,
) -> Result<T> {
    let output = ask_in(transient, role, request).await.map_err(|error| stalled(error, address))?;
    read_reply(output).await
}

/// The child did not end within its deadline: the server counts as unreachable.
fn stalled(error: Error, address: &str) -> Error {
    match error.code() {
        Code::Deadline => Fault::RuntimeUnreachable.error(format!("downloading {address}"), error.cause()),
        _ => error,
    }
}

pub fn check(archive: &Archive) -> Result<Check> {
    Ok(match files::exists(&archive.path)? {
        true => Check::AlreadySo,
        false => Check::WouldChange("absent".into()),
    })
}

/// Tries once: the caller repeats it for transient faults.
pub async fn install(install: &InstallRuntime) -> Result<()> {
    download(install).await?;
    let archive = install.archive.clone();
    blocking(move || finish(&archive.runtime, &archive.path)).await
}

/// The directory in which every runtime and tool is made before it gets its name.
pub fn unfinished_tree() -> PathBuf {
    Path::new(layout::UNFINISHED_RUNTIME).join("tree")
}

async fn download(install: &InstallRuntime) -> Result<()> {
    units::clear(&install.unit).await?;
    blocking(|| {
        files::remove_tree(Path::new(layout::UNFINISHED_RUNTIME))?;
        files::directory(Path::new(layout::UNFINISHED_RUNTIME), &Owner::root(), Mode(0o700))?;
        // The dynamic user must write it. Its parent is closed to all users, so only this child reaches it.
        files::directory(&unfinished_tree(), &Owner::root(), Mode(0o777))
    })
    .await?;
    let request = ArchiveRequest {
        address: install.archive.address.clone(),
        checksum: install.archive.checksum.clone(),
        directory: MOUNT.into(),
        program: install.archive.program.clone(),
        leave_out: install.archive.leave_out.clone(),
        network: install.network.clone(),
        timeouts: Default::default(),
    };
    let transient = TransientUnit::new(&install.unit, User::Dynamic, DOWNLOAD)
        .property("TemporaryFileSystem=/mnt:ro")
        .property(format!("BindPaths={}:{MOUNT}", unfinished_tree().display()))
        .writable(Path::new(MOUNT))
        .hidden(Path::new(layout::RUN))
        .property(MEMORY);
    reply(transient, Role::Archive, &request, &install.archive.address).await
}

/// Adopts the unfinished tree and gives it its name. The child has ended: only root reaches the tree now.
pub fn finish(runtime: &str, path: &Path) -> Result<()> {
    let doing = || format!("finishing {}", path.display());
    let from = Place::open(&unfinished_tree(), false).doing(doing)?;
    adopt::adopt(&from.open_directory().doing(doing)?).doing(doing)?;
    files::flush(&unfinished_tree())?;
    files::write(&record(runtime, &name(path)), b"", &Owner::root(), Mode(0o600))?;
    rename(&from, path).doing(doing)?;
    files::remove_tree(Path::new(layout::UNFINISHED_RUNTIME))?;
    Ok(())
}

fn rename(from: &Place, to: &Path) -> Result<(), nix::errno::Errno> {
    let to = Place::open(to, true)?;
    renameat(&from.directory, from.name.as_os_str(), &to.directory, to.name.as_os_str())?;
    fsync(&to.directory)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Records that bootagent installed this version. Versions without a record belong to the AMI and are never pruned.
fn record(runtime: &str, version: &str) -> PathBuf {
    Path::new(layout::STATE).join("runtimes").join(runtime).join(version)
}

pub fn check_prune(prune: &PruneRuntimes) -> Result<Check> {
    let surplus = surplus(prune)?;
    Ok(match surplus.is_empty() {
        true => Check::AlreadySo,
        false => Check::WouldChange(surplus.iter().map(|path| name(path)).collect::<Vec<_>>().join(", ")),
    })
}

/// Moves a runtime away before it is removed: under its name a runtime must be whole.
pub fn prune(prune: &PruneRuntimes) -> Result<()> {
    for path in surplus(prune)? {
        let doing = || format!("removing {}", path.display());
        files::remove_tree(Path::new(layout::UNFINISHED_RUNTIME))?;
        if files::exists(&path)? {
            files::directory(Path::new(layout::UNFINISHED_RUNTIME), &Owner::root(), Mode(0o700))?;
            rename(&Place::open(&path, false).doing(doing)?, &unfinished_tree()).doing(doing)?;
            files::remove_tree(Path::new(layout::UNFINISHED_RUNTIME))?;
        }
        files::remove_file(&record(&prune.runtime, &name(&path)))?;
    }
    Ok(())
}

fn surplus(prune: &PruneRuntimes) -> Result<Vec<PathBuf>> {
    let used = used()?;
    let installed = files::names(&Path::new(layout::STATE).join("runtimes").join(&prune.runtime))?;
    let paths = installed.iter().map(|version| layout::runtime(&prune.runtime, version));
    Ok(paths.filter(|path| !prune.keep.contains(path) && !used.contains(path)).collect())
}

/// What the finished releases of all services use, by their records.
fn used() -> Result<Vec<PathBuf>> {
    let services = Path::new(layout::STATE).join("services");
    let mut used = Vec::new();
    for service in files::names(&services)? {
        let records = services.join(service).join("releases");
        for release in files::names(&records)? {
            let text = files::read(&records.join(release))?.unwrap_or_default();
            used.extend(String::from_utf8_lossy(&text).lines().map(PathBuf::from));
        }
    }
    Ok(used)
}
