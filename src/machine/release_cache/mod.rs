//! Restores a finished release from the cache, and stores one there.
//!
//! An entry is a line with its key, the SHA-256 of its archive and their authentication (HMAC), and then the archive. Root reads
//! the line and hashes the rest; only then a child process unpacks it, as the build user and without network. An entry of S3
//! needs the HMAC, whose key is in Secrets Manager: who can write the bucket alone cannot make one. Of an entry in the image, only
//! root can have written the file.

pub mod entry;
pub mod pack;
pub mod unpack;

use std::path::{Path, PathBuf};
use std::time::Duration;

use entry::Entry;

use crate::error::{Code, Coded, Error, Result};
use crate::fault::Phase;
use crate::machine::aws::s3::{Access, Put};
use crate::machine::aws::{self, Imds, transfer};
use crate::machine::disk::staging::Staging;
use crate::machine::disk::{files, owned};
use crate::machine::install::releases;
use crate::machine::jail::ask::ask_in;
use crate::machine::jail::child::Role;
use crate::machine::jail::request::read_reply;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::process::units;
use crate::machine::{Change, Check, SecretPatience, blocking, progress};
use crate::plan::{CacheObject, CachedRelease, Mode, Owner, layout};
use crate::secret::Secret;

/// Bytes of an entry.
const MOST: u64 = 1 << 30;
/// The archive is unpacked in one pass.
const MEMORY: &str = "MemoryMax=512M";
/// Less than the step's time limit, because the child's error says more than the step's.
const CHILD: Duration = Duration::from_secs(Phase::Transfer.seconds().0 - 60);
/// Where the child sees the archive's directory.
const MOUNT: &str = "/mnt/entry";
const ARCHIVE: &str = "archive";
/// How long S3 and Secrets Manager are asked: a release can be built without them.
const PATIENCE: SecretPatience =
    SecretPatience { time: crate::plan::Seconds(15), waits_for_permission: false };

pub fn check(cached: &CachedRelease) -> Result<Check> {
    releases::check_whole(&cached.release, &cached.record)
}

/// Restores the release, if the cache has a good entry. Otherwise the release is built: a cache never fails a run.
pub async fn restore(imds: &Imds, cached: &CachedRelease) -> Result<Change> {
    match try_restore(imds, cached).await {
        Ok(Some(from)) => Ok(Change::Changed(format!("from {from}"))),
        Ok(None) => Ok(Change::Changed("no entry yet".to_owned())),
        Err(error) => {
            let (release, record) = (cached.release.clone(), cached.record.clone());
            blocking(move || releases::discard(&release, &[record])).await?;
            let told = error.in_public().report();
            progress::note(format!(
                "the release is built, not taken from the cache: {}: {}",
                told.doing,
                told.causes.join(": ")
            ));
            Ok(Change::Changed("not used".to_owned()))
        }
    }
}

async fn try_restore(imds: &Imds, cached: &CachedRelease) -> Result<Option<String>> {
    let staging = Staging::new(true, &cached.unit)?;
    let file = staging.path().join("entry");
    let (place, key) = match of_image(cached)? {
        Some(image) => {
            let doing = || format!("reading {}", image.display());
            std::fs::copy(&image, &file).doing(doing)?;
            (image.display().to_string(), None)
        }
        None => {
            let Some(object) = &cached.object else { return Ok(None) };
            let found = transfer::download(imds, &object.at, MOST, &file, access(object)).await?;
            if found.is_none() {
                return Ok(None);
            }
            (object.at.to_string(), Some(key(imds, object).await?))
        }
    };
    let (archive, of, at) = (staging.path().join(ARCHIVE), cached.key.clone(), place.clone());
    blocking(move || {
        let entry = Entry::open(&file, MOST).map_err(|cause| refused(&at, cause))?;
        entry.verified(&of, key.as_ref(), &archive).map_err(|cause| refused(&at, cause))
    })
    .await?;
    unpack(cached, staging.path()).await?;
    Ok(Some(place))
}

fn refused(place: &str, cause: String) -> Error {
    Error::new(Code::SourceUnsafe, format!("reading the release in {place}"), cause)
}

/// The image's entry, if it has one. Only root may be able to change it.
fn of_image(cached: &CachedRelease) -> Result<Option<PathBuf>> {
    let Some(path) = &cached.image else { return Ok(None) };
    owned::resolved(path).map_err(|cause| refused(&path.display().to_string(), cause))
}

fn access(object: &CacheObject) -> Access<'_> {
    let CacheObject { access, .. } = object;
    Access { region: access.region.as_deref(), network: &access.network, patience: PATIENCE }
}

/// Shorter keys could be guessed.
const SHORTEST_KEY: usize = 32;

async fn key(imds: &Imds, object: &CacheObject) -> Result<Secret> {
    let CacheObject { secret, access, .. } = object;
    let key = aws::secret(imds, secret, access.region.as_deref(), &access.network, PATIENCE).await?;
    match key.expose().trim().len() < SHORTEST_KEY {
        true => {
            let cause = format!("the key has under {SHORTEST_KEY} characters");
            Err(Error::new(Code::SourceUnsafe, format!("reading the secret {secret}"), cause)
                .remedy("put 64 random hexadecimal digits there: openssl rand -hex 32"))
        }
        false => Ok(key),
    }
}

async fn unpack(cached: &CachedRelease, staging: &Path) -> Result<()> {
    let release = cached.release.clone();
    let (record, owner) = (cached.record.clone(), Owner::new(&cached.user, &cached.group));
    blocking(move || {
        releases::discard(&release, std::slice::from_ref(&record))?;
        files::directory(&release, &owner, Mode(0o750))
    })
    .await?;
    let request =
        unpack::UnpackRequest { archive: Path::new(MOUNT).join(ARCHIVE), release: cached.release.clone() };
    units::clear(&cached.unit).await?;
    let user = User::Named { user: cached.user.clone(), group: cached.group.clone() };
    let transient = TransientUnit::new(&cached.unit, user, CHILD)
        .writable(&cached.release)
        .hidden(Path::new(layout::RUN))
        .property("PrivateNetwork=yes")
        .property("TemporaryFileSystem=/mnt:ro")
        .property(format!("BindReadOnlyPaths={}:{MOUNT}", staging.display()))
        .property(MEMORY);
    read_reply::<()>(ask_in(transient, Role::UnpackRelease, &request).await?).await?;
    // What it uses is recorded by the step that finishes releases.
    let (release, record) = (cached.release.clone(), cached.record.clone());
    blocking(move || releases::finish(&release, &record, &[])).await
}

/// Stores the release, unless there is an entry.
pub async fn store(imds: &Imds, cached: &CachedRelease) -> Result<Change> {
    let Some(object) = &cached.object else { return Ok(Change::Unchanged) };
    if transfer::exists(imds, &object.at, access(object)).await? {
        return Ok(Change::Unchanged);
    }
    let key = key(imds, object).await?;
    let staging = Staging::new(true, &cached.unit)?;
    staging.open_to_a_child()?;
    let request = pack::PackRequest {
        release: cached.release.clone(),
        archive: Path::new(MOUNT).join(ARCHIVE),
        leave_out: cached.leave_out.clone(),
    };
    units::clear(&cached.unit).await?;
    let user = User::Named { user: cached.user.clone(), group: cached.group.clone() };
    let transient = TransientUnit::new(&cached.unit, user, CHILD)
        .hidden(Path::new(layout::RUN))
        .property("PrivateNetwork=yes")
        .property("TemporaryFileSystem=/mnt:ro")
        .property(format!("BindPaths={}:{MOUNT}", staging.path().display()))
        .writable(Path::new(MOUNT))
        .property(MEMORY);
    read_reply::<()>(ask_in(transient, Role::PackRelease, &request).await?).await?;
    let (archive, of, file) =
        (staging.path().join(ARCHIVE), cached.key.clone(), staging.path().join("entry"));
    let made = file.clone();
    blocking(move || {
        entry::write(&archive, &of, &key, &made).doing(|| "writing an entry of the release cache".to_owned())
    })
    .await?;
    Ok(match transfer::upload(imds, &object.at, &file, access(object)).await? {
        Put::Written(_) => Change::Changed("written".to_owned()),
        Put::Refused => Change::Unchanged,
    })
}
