//! Takes the archives of a lockfile's packages from the cache before an installation, and stores them there after one. So a new
//! commit with the lockfile of an earlier one needs no package registry.
//!
//! An entry only fills the package cache of the build user. The installation verifies each archive by its hash in the commit's own
//! lockfile, as it does with what an earlier installation left there, and downloads what is not as expected.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::child::{ARCHIVE, MOUNT, PACKING, confined, packing};
use super::{ENTRY, LIMIT, Place, fetch, in_time, stored};
use crate::error::{Code, Coded, Error, Result};
use crate::machine::aws::Imds;
use crate::machine::disk::path_at::Place as PathAt;
use crate::machine::jail::ask::ask_in;
use crate::machine::jail::child::Role;
use crate::machine::jail::request::read_reply;
use crate::machine::jail::unit::TransientUnit;
use crate::machine::npm_tree::packed::{self, PackRequest, UnpackRequest};
use crate::machine::process::units;
use crate::machine::{Change, blocking, progress};
use crate::plan::{CacheObject, CachedPackages};

/// Bytes of a lockfile, which root parses: some 8,000 packages. One that is larger has no entry.
const LOCKFILE: u64 = 4 << 20;

/// Fills the package cache from the first place that has a good entry. Without one the registry is asked: a cache never fails a run.
pub async fn restore(imds: &Imds, cached: &CachedPackages) -> Result<Change> {
    let Some(lockfile) = lockfile(cached).await? else { return Ok(changed("there is no lockfile")) };
    if lockfile.is_satisfied(cached).await? {
        return Ok(changed("all packages are in the package cache of this machine"));
    }
    let image = cached.image.as_ref().map(|directory| directory.join(CachedPackages::name(&lockfile.key)));
    let object = cached.object.as_ref().map(|object| lockfile.object(object));
    let mut was_refused = false;
    let image = image.as_deref().map(Place::Image);
    for place in image.into_iter().chain(object.as_ref().map(Place::Object)) {
        let late = || {
            let cause = format!("not done after {} s", LIMIT.as_secs());
            Error::new(Code::Deadline, format!("reading {place}"), cause)
        };
        match timeout(LIMIT, take(imds, cached, &lockfile.key, place)).await.unwrap_or_else(|_| Err(late())) {
            Ok(Some(age)) => return Ok(changed(&format!("from {place}, {age} old"))),
            Ok(None) => {}
            Err(error) => {
                let error = error.in_public().report();
                let (causes, code) = (error.causes.join(": "), error.code);
                progress::note(format!(
                    "packages come from their registry, and not from the release cache: {place}: {causes} [{code}]; {}",
                    error.remedy
                ));
                was_refused = true;
            }
        }
    }
    Ok(changed(if was_refused { "not used" } else { "no entry" }))
}

fn changed(said: &str) -> Change {
    Change::Changed(said.to_owned())
}

/// The lockfile of the release, which the build user owns.
struct Lockfile {
    path: PathBuf,
    text: Vec<u8>,
    /// Of its entry.
    key: String,
}

impl Lockfile {
    /// Whether an earlier installation, or the image, left all that is needed.
    async fn is_satisfied(&self, cached: &CachedPackages) -> Result<bool> {
        let (text, cache) = (String::from_utf8_lossy(&self.text).into_owned(), cached.cache.clone());
        let omits_development = cached.omits_development;
        blocking(move || Ok(packed::has_all(&text, omits_development, &cache))).await
    }

    async fn has_no_packages(&self) -> Result<bool> {
        let text = String::from_utf8_lossy(&self.text).into_owned();
        blocking(move || Ok(packed::named(&text, false).is_ok_and(|named| named.is_empty()))).await
    }

    fn object(&self, folder: &CacheObject) -> CacheObject {
        let mut object = folder.clone();
        object.at.key.push_str(&CachedPackages::name(&self.key));
        object
    }
}

/// The first of the lockfiles that exists. A link is not followed: root reads.
async fn lockfile(cached: &CachedPackages) -> Result<Option<Lockfile>> {
    let (paths, recipe) = (cached.lockfiles.clone(), cached.recipe.clone());
    blocking(move || {
        for path in paths {
            if let Some(text) = text(&path).doing(|| format!("reading {}", path.display()))? {
                let sum = HEXLOWER.encode(&Sha256::digest(&text));
                let key = HEXLOWER.encode(&Sha256::digest(format!("{recipe} {sum}")));
                return Ok(Some(Lockfile { path, text, key }));
            }
        }
        Ok(None)
    })
    .await
}

/// `None` if there is no regular file of at most that size: the installation says why.
fn text(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let place = match PathAt::open(path, false) {
        Ok(place) => place,
        Err(nix::Error::ENOENT | nix::Error::ELOOP | nix::Error::ENOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let flags = nix::fcntl::OFlag::from_bits_truncate(
        nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC,
    );
    let opened =
        nix::fcntl::openat(&place.directory, place.name.as_os_str(), flags, nix::sys::stat::Mode::empty());
    let file = match opened {
        Ok(file) => File::from(file),
        Err(nix::Error::ENOENT | nix::Error::ELOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.take(LOCKFILE + 1).read_to_end(&mut text)?;
    Ok((text.len() as u64 <= LOCKFILE).then_some(text))
}

/// Returns the age of the entry in words; `None` if there is none.
async fn take(imds: &Imds, cached: &CachedPackages, key: &str, place: Place<'_>) -> Result<Option<String>> {
    let Some(fetched) = fetch(imds, key, &cached.unit, place).await? else { return Ok(None) };
    let archive = Path::new(MOUNT).join(ENTRY);
    let request = UnpackRequest { archive, start: fetched.start, cache: cached.cache.clone() };
    let transient = unit(cached, LIMIT)
        .writable(&cached.writable)
        .property(format!("BindReadOnlyPaths={}:{MOUNT}", fetched.staging.path().display()));
    units::clear(&cached.unit).await?;
    read_reply::<()>(ask_in(transient, Role::UnpackPackages, &request).await?).await?;
    Ok(Some(fetched.age))
}

/// Stores the archives, unless there is an entry.
pub async fn store(imds: &Imds, cached: &CachedPackages) -> Result<Change> {
    let (Some(lockfile), Some(object)) = (lockfile(cached).await?, &cached.object) else {
        return Ok(Change::Unchanged);
    };
    if lockfile.has_no_packages().await? {
        return Ok(Change::Unchanged);
    }
    let object = lockfile.object(object);
    let packing = async |staging: &Path, most| pack(cached, &lockfile, staging, most).await;
    in_time("the packages are", stored(imds, &object, (&lockfile.key, &cached.unit), packing)).await
}

async fn pack(cached: &CachedPackages, lockfile: &Lockfile, staging: &Path, most: u64) -> Result<PathBuf> {
    let request = PackRequest {
        lockfile: lockfile.path.clone(),
        omits_development: cached.omits_development,
        cache: cached.cache.clone(),
        archive: Path::new(MOUNT).join(ARCHIVE),
        most,
    };
    let transient = packing(unit(cached, PACKING), staging);
    units::clear(&cached.unit).await?;
    read_reply::<()>(ask_in(transient, Role::PackPackages, &request).await?).await?;
    Ok(staging.join(ARCHIVE))
}

fn unit(cached: &CachedPackages, limit: std::time::Duration) -> TransientUnit {
    confined(&cached.unit, (&cached.user, &cached.user), limit)
}
