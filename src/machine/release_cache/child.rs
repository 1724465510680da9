//! The child processes that pack and unpack: as the build user, without network, secrets and IMDS.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::pack::PackRequest;
use super::unpack::UnpackRequest;
use crate::error::{Coded, Result};
use crate::fault::Phase;
use crate::machine::jail::ask::ask_in;
use crate::machine::jail::child::Role;
use crate::machine::jail::request::read_reply;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::process::units;
use crate::plan::{CachedRelease, layout};

/// An archive is read and written in one pass.
const MEMORY: &str = "MemoryMax=512M";
/// Where a child sees the staging directory.
pub const MOUNT: &str = "/mnt/entry";
pub const ARCHIVE: &str = "archive";
/// Less than the step's time limit, because the child's error says more than the step's.
pub const PACKING: Duration = Duration::from_secs(Phase::Transfer.seconds().0 - 60);

/// Unpacks the file's bytes from `start` into the empty release.
pub async fn unpack(
    cached: &CachedRelease,
    staging: &Path,
    file: &str,
    start: u64,
    limit: Duration,
) -> Result<()> {
    let release = cached.release.clone();
    let request = UnpackRequest { archive: Path::new(MOUNT).join(file), start, release };
    let transient = unit(cached, limit)
        .writable(&cached.release)
        .property(format!("BindReadOnlyPaths={}:{MOUNT}", staging.display()));
    units::clear(&cached.unit).await?;
    read_reply(ask_in(transient, Role::UnpackRelease, &request).await?).await
}

/// Packs the release into an archive of at most `most` bytes. Returns its path. The service is in use already: it goes first.
pub async fn pack(cached: &CachedRelease, staging: &Path, most: u64) -> Result<PathBuf> {
    // Only root can write the record.
    let record = std::fs::symlink_metadata(&cached.record);
    let record = record.doing(|| format!("reading {}", cached.record.display()))?;
    let request = PackRequest {
        finished: (record.mtime(), record.mtime_nsec()),
        release: cached.release.clone(),
        archive: Path::new(MOUNT).join(ARCHIVE),
        most,
        leave_out: cached.leave_out.clone(),
    };
    let transient = packing(unit(cached, PACKING), staging);
    units::clear(&cached.unit).await?;
    read_reply::<()>(ask_in(transient, Role::PackRelease, &request).await?).await?;
    Ok(staging.join(ARCHIVE))
}

fn unit(cached: &CachedRelease, limit: Duration) -> TransientUnit {
    confined(&cached.unit, (&cached.user, &cached.group), limit)
}

/// Writes into the staging directory, and comes last on a machine that serves.
pub fn packing(transient: TransientUnit, staging: &Path) -> TransientUnit {
    transient
        .property(format!("BindPaths={}:{MOUNT}", staging.display()))
        .writable(Path::new(MOUNT))
        .property("Nice=19")
        .property("IOSchedulingClass=idle")
}

/// Without network, secrets and IMDS.
pub fn confined(unit: &str, (user, group): (&str, &str), limit: Duration) -> TransientUnit {
    let user = User::Named { user: user.to_owned(), group: group.to_owned() };
    TransientUnit::new(unit, user, limit)
        .hidden(Path::new(layout::RUN))
        .property("PrivateNetwork=yes")
        .property("TemporaryFileSystem=/mnt:ro")
        .property(MEMORY)
}
