//! Downloads the packages: several at once over few connections, each tried again after a transient failure, verified and
//! unpacked as soon as it is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use tokio::sync::Semaphore;

use super::archive::{Archive, LARGEST};
use super::cache::Cache;
use super::failure::{Failure, Result};
use super::pool::{Answer, Pool, chain};
use super::unpack::unpack;
use crate::fault::Fault;
use crate::npm::{Address, Package};
use crate::secret::excerpt;

/// Downloads at once. Each may hold a MiB of memory.
const AT_ONCE: usize = 24;
/// As many as npm is told to make.
const TRIES: u32 = 6;
/// The longest time without a byte of any package: a server may send one after the other.
const STALL: Duration = Duration::from_secs(30);
const REDIRECTS: usize = 5;
/// In bytes: what all packages together may unpack to.
const UNPACKED: u64 = 16 << 30;

/// Fills the directories of all packages, which exist and are empty.
pub async fn packages(packages: &[Package], pool: &Pool<'_>, cache: &Cache, project: &Path) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shared = Shared {
        pool,
        cache,
        project: project.to_owned(),
        unpacking: Arc::new(Semaphore::new(cores.clamp(1, 4))),
        unpacked: AtomicU64::new(0),
        received: AtomicU64::new(0),
    };
    let all = stream::iter(packages).map(|package| shared.place(package));
    all.buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await
}

struct Shared<'a> {
    pool: &'a Pool<'a>,
    cache: &'a Cache,
    project: PathBuf,
    unpacking: Arc<Semaphore>,
    unpacked: AtomicU64,
    /// In bytes, of all packages.
    received: AtomicU64,
}

impl Shared<'_> {
    async fn place(&self, package: &Package) -> Result<()> {
        let mut archive = match self.cached(package).await? {
            Some(archive) => archive,
            None => self.fetched(package).await?,
        };
        let (package, project) = (package.clone(), self.project.clone());
        let bytes = self.in_thread(move || unpack(&mut archive, &package, &project)).await?;
        match self.unpacked.fetch_add(bytes, Ordering::Relaxed) + bytes > UNPACKED {
            true => {
                Err(Failure::refused(format!("all packages together have more than {} GiB", UNPACKED >> 30)))
            }
            false => Ok(()),
        }
    }

    /// What an earlier installation kept, if it is still the same.
    async fn cached(&self, package: &Package) -> Result<Option<Archive>> {
        let (package, cache) = (package.clone(), self.cache.clone());
        self.in_thread(move || {
            let Some(mut archive) = cache.find(&package.integrity) else { return Ok(None) };
            if archive.verify(&package).is_err() {
                cache.forget(&package.integrity);
                return Ok(None);
            }
            Ok(Some(archive))
        })
        .await
    }

    /// Downloaded and verified.
    async fn fetched(&self, package: &Package) -> Result<Archive> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.verified(package).await {
                Ok(archive) => return Ok(archive),
                Err(Tried { failure, pause }) if tried < TRIES && is_transient(&failure) => {
                    let longer =
                        Duration::from_millis(200 * 3u64.pow(tried - 1)).min(Duration::from_secs(10));
                    tokio::time::sleep(
                        pause.unwrap_or_default() + longer.mul_f64(0.5 + fastrand::f64() / 2.0),
                    )
                    .await;
                }
                Err(Tried { failure, .. }) => return Err(failure),
            }
        }
    }

    async fn verified(&self, package: &Package) -> std::result::Result<Archive, Tried> {
        let mut archive = self.download(package).await?;
        let (package, cache) = (package.clone(), self.cache.clone());
        let work = move || {
            archive.verify(&package)?;
            cache.keep(&package.integrity, &mut archive);
            Ok(archive)
        };
        Ok(self.in_thread(work).await?)
    }

    /// Work that needs a processor, as much at once as there are.
    async fn in_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let ended = |error: String| Failure::new(Fault::InstallFailed, error);
        let permit =
            self.unpacking.clone().acquire_owned().await.map_err(|error| ended(error.to_string()))?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| ended(error.to_string()))?
    }

    async fn download(&self, package: &Package) -> std::result::Result<Archive, Tried> {
        let mut address = package.address.clone();
        let mut credential = package.credential.as_ref();
        for _ in 0..=REDIRECTS {
            let sender = self.pool.sender(&address).await?;
            let answer = self.in_time(&address, sender.get(&address, credential)).await??;
            let status = answer.response.status();
            if !status.is_redirection() {
                return self.body(package, &address, answer).await;
            }
            let location =
                answer.response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(next) = location.and_then(|location| redirected(&address, location)) else {
                return Err(Failure::ForNpm(format!(
                    "{} is redirected to an unusual address",
                    address.shown()
                ))
                .into());
            };
            // Another server must not see the credential.
            credential = credential.filter(|_| next.server() == address.server());
            address = next;
        }
        Err(Failure::new(
            Fault::RegistryUnreachable,
            format!("{} is redirected without an end", package.address.shown()),
        )
        .into())
    }

    /// What comes, unless nothing comes of any package for `STALL`. The step's time limit bounds all of it.
    async fn in_time<T>(&self, address: &Address, coming: impl Future<Output = T>) -> Result<T> {
        let mut coming = std::pin::pin!(coming);
        loop {
            let before = self.received.load(Ordering::Relaxed);
            if let Ok(came) = tokio::time::timeout(STALL, coming.as_mut()).await {
                return Ok(came);
            }
            if self.received.load(Ordering::Relaxed) == before {
                return Err(stalled(address));
            }
        }
    }

    async fn body(
        &self,
        package: &Package,
        address: &Address,
        answer: Answer,
    ) -> std::result::Result<Archive, Tried> {
        let Answer { response, connection } = answer;
        let (head, mut body) = response.into_parts();
        if head.status != StatusCode::OK {
            let pause = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let pause = pause.map(|seconds: u64| Duration::from_secs(seconds.min(60)));
            // A proxy on the way says there what it could not reach.
            let reason = head.extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes);
            let reason = String::from_utf8_lossy(reason.unwrap_or_default());
            return Err(Tried { failure: refused(package, address, head.status, &reason), pause });
        }
        let length: Option<u64> =
            head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|length| length > LARGEST) {
            return Err(
                Failure::refused(format!("{} has more than {} MiB", package.id, LARGEST >> 20)).into()
            );
        }
        let mut archive = Archive::new();
        loop {
            let Some(frame) = self.in_time(address, body.frame()).await? else { break };
            let lost = |error: hyper::Error| {
                Failure::new(
                    Fault::RegistryUnreachable,
                    format!("downloading {}: {}", address.shown(), chain(&error)),
                )
            };
            if let Ok(bytes) = frame.map_err(lost)?.into_data() {
                self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                archive.append(&bytes, &self.project)?;
            }
        }
        if length.is_some_and(|length| length != archive.length()) {
            let cause = format!("downloading {}: it ends after {} bytes", address.shown(), archive.length());
            return Err(Failure::new(Fault::RegistryUnreachable, cause).into());
        }
        if let Some(connection) = connection {
            connection.give_back().await;
        }
        Ok(archive)
    }
}

/// A failed try, and how long the server asks to wait.
struct Tried {
    failure: Failure,
    pause: Option<Duration>,
}

impl From<Failure> for Tried {
    fn from(failure: Failure) -> Tried {
        Tried { failure, pause: None }
    }
}

/// A maintenance page or a broken transfer also has another hash.
fn is_transient(failure: &Failure) -> bool {
    matches!(failure, Failure::Fault { fault: Fault::RegistryUnreachable | Fault::PackageAltered, .. })
}

fn stalled(address: &Address) -> Failure {
    Failure::new(
        Fault::RegistryUnreachable,
        format!("downloading {}: nothing for {} s", address.shown(), STALL.as_secs()),
    )
}

/// `reason`: what the server adds to the status, of HTTP/1.1 only.
fn refused(package: &Package, address: &Address, status: StatusCode, reason: &str) -> Failure {
    let usual = status.canonical_reason().unwrap_or_default();
    let said =
        Some(excerpt(reason)).filter(|reason| !reason.is_empty() && !reason.eq_ignore_ascii_case(usual));
    let said = said.map(|reason| format!(": {reason}")).unwrap_or_default();
    let cause =
        format!("the registry answers {} for {} ({}){said}", status.as_u16(), package.id, address.shown());
    match status.as_u16() {
        400..500 if package.is_optional && !is_for_a_while(status) => Failure::ForNpm(cause),
        401 | 403 => Failure::new(Fault::RegistryRefused, cause),
        _ if is_for_a_while(status) => Failure::new(Fault::RegistryUnreachable, cause),
        404 if package.is_guess => Failure::ForNpm(cause),
        404 | 410 => Failure::new(Fault::PackageMissing, cause),
        _ => Failure::ForNpm(cause),
    }
}

fn is_for_a_while(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..)
}

fn redirected(from: &Address, location: &str) -> Option<Address> {
    match location.starts_with('/') && !location.starts_with("//") {
        true => Address::parse(&format!("https://{}{location}", from.host_and_port())),
        false => Address::parse(location),
    }
}
