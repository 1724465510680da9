//! Restores a finished release from the cache, and stores one there.
//!
//! An entry is a line with its key, the SHA-256 of its archive and their authentication (HMAC), and then the archive. Root reads
//! the line and hashes the rest; only then a child process unpacks it, as the build user and without network. An entry of S3
//! needs the HMAC, whose key is in Secrets Manager: who can write the bucket alone cannot make one. Of an entry in the image, only
//! root can have written the file.

mod child;
pub mod entry;
pub mod pack;
pub mod packages;
pub mod unpack;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::error::{Code, Coded, Error, Result};
use crate::fault::Phase;
use crate::machine::aws::s3::{Access, Put};
use crate::machine::aws::{self, Imds, transfer};
use crate::machine::disk::staging::Staging;
use crate::machine::disk::{files, owned, room};
use crate::machine::install::releases;
use crate::machine::{Change, Check, SecretPatience, blocking, budget, progress};
use crate::plan::{CacheObject, CachedRelease, Mode, Owner};
use crate::secret::Secret;

/// Bytes of an entry.
pub const MOST: u64 = 1 << 30;
/// All of one entry's restoring. Less than the step's time limit: a release that comes too slowly is built.
const LIMIT: Duration = Duration::from_secs(Phase::Transfer.seconds().0 / 2 - 20);
/// All of one release's storing. Less than the step's time limit, which would be an error.
const STORING: Duration = Duration::from_secs(Phase::Transfer.seconds().0 - 10);
/// What is left of the run's budget for its last steps.
const TO_END: Duration = Duration::from_secs(10);
/// How long S3 and Secrets Manager are asked: a release can be built without them.
const PATIENCE: SecretPatience =
    SecretPatience { time: crate::plan::Seconds(15), waits_for_permission: false };
/// Shorter keys could be guessed.
const SHORTEST_KEY: usize = 32;
const ENTRY: &str = "entry";

pub fn check(cached: &CachedRelease) -> Result<Check> {
    releases::check_whole(&cached.release, &cached.record)
}

/// Restores the release from the first place that has a good entry. Without one the release is built: a cache never fails a run.
pub async fn restore(imds: &Imds, cached: &CachedRelease) -> Result<Change> {
    if files::read(&cached.rebuilt)?.is_some_and(|text| names(&text, &cached.release)) {
        return Ok(Change::Changed("not used: the release is built again".to_owned()));
    }
    let image = cached.image.as_deref().map(Place::Image);
    let mut was_refused = false;
    for place in image.into_iter().chain(cached.object.as_ref().map(Place::Object)) {
        let doing = || format!("reading {place}");
        let late = || Error::new(Code::Deadline, doing(), format!("not done after {} s", LIMIT.as_secs()));
        let taking = timeout(LIMIT, take(imds, cached, place)).await;
        match taking.unwrap_or_else(|_| Err(late())) {
            Ok(Some(age)) => {
                progress::note(format!("the release was taken from the release cache: {place}, {age} old"));
                return Ok(Change::Changed(format!("from {place}, {age} old")));
            }
            Ok(None) => {}
            Err(error) => {
                let (release, record) = (cached.release.clone(), cached.record.clone());
                blocking(move || releases::discard(&release, &[record])).await?;
                let error = error.in_public().report();
                let (causes, code, remedy) = (error.causes.join(": "), error.code, error.remedy);
                let cause = format!("{place}: {causes} [{code}]; {remedy}");
                progress::note(format!(
                    "the release is built, and not taken from the release cache: {cause}"
                ));
                was_refused = true;
            }
        }
    }
    Ok(Change::Changed(if was_refused { "not used" } else { "no entry" }.to_owned()))
}

fn names(text: &[u8], release: &Path) -> bool {
    Path::new(String::from_utf8_lossy(text).trim_end()) == release
}

/// Where an entry is.
#[derive(Clone, Copy)]
enum Place<'a> {
    Image(&'a Path),
    Object(&'a CacheObject),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Image(path) => write!(f, "{}", path.display()),
            Place::Object(object) => write!(f, "{}", object.at),
        }
    }
}

/// An entry that is verified.
struct Fetched {
    staging: Staging,
    /// Where its archive begins.
    start: u64,
    /// In words.
    age: String,
}

/// Reads the entry of this key; `None` if the place has none.
async fn fetch(imds: &Imds, of: &str, unit: &str, place: Place<'_>) -> Result<Option<Fetched>> {
    let staging = Staging::new(true, unit)?;
    let file = staging.path().join(ENTRY);
    let (age, key) = match place {
        Place::Image(path) => {
            let (path, to) = (path.to_owned(), file.clone());
            (blocking(move || copy_of_image(&path, &to)).await?, None)
        }
        Place::Object(object) => {
            let age = transfer::download(imds, &object.at, MOST, &file, access(object)).await?;
            // Without an entry, the key is not needed.
            let key = if age.is_some() { Some(key(imds, object).await?) } else { None };
            (age, key)
        }
    };
    let Some(age) = age else { return Ok(None) };
    let (of, at) = (of.to_owned(), place.to_string());
    let verifying = move || entry::verify(&file, &of, key.as_ref()).map_err(|cause| refused(&at, cause));
    let start = blocking(verifying).await?;
    Ok(Some(Fetched { staging, start, age: crate::facts::age(age) }))
}

/// Restores the release from one place. Returns the age of the entry in words; `None` if there is none.
async fn take(imds: &Imds, cached: &CachedRelease, place: Place<'_>) -> Result<Option<String>> {
    let Some(fetched) = fetch(imds, &cached.key, &cached.unit, place).await? else { return Ok(None) };
    empty(cached).await?;
    child::unpack(cached, fetched.staging.path(), ENTRY, fetched.start, LIMIT).await?;
    let CachedRelease { release, record, uses, .. } = cached.clone();
    blocking(move || releases::finish(&release, &record, &uses)).await?;
    Ok(Some(fetched.age))
}

fn refused(place: &str, cause: String) -> Error {
    Error::new(Code::CacheRefused, format!("reading the entry in {place}"), cause)
}

/// Copies the image's entry, if it has one, and returns its age in seconds. Only root may be able to change it.
fn copy_of_image(path: &Path, to: &Path) -> Result<Option<u64>> {
    let place = path.display().to_string();
    let Some(real) = owned::resolved(path).map_err(|cause| refused(&place, cause))? else { return Ok(None) };
    let doing = || format!("reading {place}");
    let from = File::open(real).doing(doing)?;
    let data = from.metadata().doing(doing)?;
    if !data.is_file() || data.len() > MOST {
        return Err(refused(&place, format!("it is not a file of at most {} MiB", MOST >> 20)));
    }
    io::copy(&mut from.take(MOST), &mut File::create_new(to).doing(doing)?).doing(doing)?;
    let age = data.modified().ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
    Ok(Some(age.as_secs()))
}

/// Makes the release's directory anew.
async fn empty(cached: &CachedRelease) -> Result<()> {
    let (release, record) = (cached.release.clone(), cached.record.clone());
    let owner = Owner::new(&cached.user, &cached.group);
    blocking(move || {
        releases::discard(&release, &[record])?;
        files::directory(&release, &owner, Mode(0o750))
    })
    .await
}

fn access(object: &CacheObject) -> Access<'_> {
    let CacheObject { access, .. } = object;
    Access { region: access.region.as_deref(), network: &access.network, patience: PATIENCE }
}

/// The key that authenticates entries.
async fn key(imds: &Imds, object: &CacheObject) -> Result<Secret> {
    let CacheObject { secret, access, .. } = object;
    let key = aws::secret(imds, secret, access.region.as_deref(), &access.network, PATIENCE).await?;
    match key.expose().trim().len() < SHORTEST_KEY {
        true => {
            let cause = format!("the key has under {SHORTEST_KEY} characters");
            Err(Error::new(Code::CacheRefused, format!("reading the secret {secret}"), cause)
                .remedy("put 64 random hexadecimal digits there: openssl rand -hex 32"))
        }
        false => Ok(key),
    }
}

/// Stores the release, unless there is an entry.
pub async fn store(imds: &Imds, cached: &CachedRelease) -> Result<Change> {
    let Some(object) = &cached.object else { return Ok(Change::Unchanged) };
    let packing = async |staging: &Path, most| child::pack(cached, staging, most).await;
    in_time("the release is", stored(imds, object, (&cached.key, &cached.unit), packing)).await
}

/// A run does not fail because no time is left, or because what was built cannot be an entry.
async fn in_time(what: &str, storing: impl Future<Output = Result<Change>>) -> Result<Change> {
    let left = budget::end().map_or(STORING, |end| end.saturating_duration_since(Instant::now()));
    let why = match timeout(left.saturating_sub(TO_END).min(STORING), storing).await {
        Ok(Err(error)) if error.code() == Code::CacheRefused => error.in_public().report().causes.join(": "),
        Ok(stored) => return stored,
        Err(_) => "no time was left".to_owned(),
    };
    progress::note(format!("{what} not stored in the release cache: {why}"));
    Ok(Change::Changed("not stored".to_owned()))
}

/// `pack` gets a directory and the most bytes that its archive there may have.
async fn stored(
    imds: &Imds,
    object: &CacheObject,
    (of, unit): (&str, &str),
    pack: impl AsyncFnOnce(&Path, u64) -> Result<PathBuf>,
) -> Result<Change> {
    // First, because it removes what a killed run left.
    let staging = Staging::new(true, unit)?;
    if transfer::exists(imds, &object.at, access(object)).await? {
        return Ok(Change::Unchanged);
    }
    let key = key(imds, object).await?;
    staging.open_to_a_child()?;
    let most = most(staging.path());
    let archive = pack(staging.path(), most).await?;
    let (of, file) = (of.to_owned(), staging.path().join(ENTRY));
    let made = file.clone();
    let writing = move || {
        entry::write(&archive, most, &of, &key, &made)
            .doing(|| "writing an entry of the release cache".to_owned())
    };
    blocking(writing).await?;
    Ok(match transfer::upload(imds, &object.at, &file, MOST, access(object)).await? {
        Put::Written(_) => Change::Changed("written".to_owned()),
        Put::Refused => Change::Unchanged,
    })
}

/// Bytes that the archive may have: it is on the disk twice, and the service that runs needs the rest.
fn most(staging: &Path) -> u64 {
    let free = room::file_systems(&[PathBuf::from(staging)]).first().map_or(0, |disk| disk.free);
    (free / 4).min(MOST - (1 << 10))
}
