//! Mounts the volume by its label, and gives its files to the service's user: on a new instance that user has another
//! number than the one who wrote them.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::fchown;
use tokio::time::{Instant, sleep};

use super::device;
use crate::error::{Code, Coded, Error, Result};
use crate::machine::disk::give::give;
use crate::machine::disk::path_at::Place;
use crate::machine::process::program::{self, how_it_ended};
use crate::machine::process::{units, users};
use crate::machine::{Change, Check, blocking};
use crate::plan::MountVolume;

/// How long udev may take to make the link of a label.
const LINK: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);
/// Others than the service's user and group see nothing of the data.
const MODE: u32 = 0o750;

pub fn check(wanted: &MountVolume) -> Result<Check> {
    let Some(mounted) = mounted_at(&wanted.path)? else {
        return Ok(Check::WouldChange("not mounted".to_owned()));
    };
    is_of_the_device(wanted)?;
    if device::number(&link(wanted)) != Some(mounted) {
        return Err(other(wanted));
    }
    Ok(match owned(wanted)? {
        true => Check::AlreadySo,
        false => Check::WouldChange("its files belong to another user".to_owned()),
    })
}

pub async fn mount(wanted: &MountVolume) -> Result<Change> {
    linked(wanted).await?;
    is_of_the_device(wanted)?;
    if mounted_at(&wanted.path)?.is_none() {
        units::forget_failed(&wanted.unit).await;
        let argv = ["systemctl", "start", "--", &wanted.unit];
        let output = program::run(&argv, None, Duration::from_secs(100), 64 << 10).await?;
        if !output.ok() {
            let cause = format!("{}: {}", wanted.unit, how_it_ended(&output));
            return Err(Error::new(Code::VolumeFailed, doing(wanted), cause)
                .saying(output.both_ends())
                .remedy(format!("journalctl -u '{}' says why", wanted.unit)));
        }
    }
    match mounted_at(&wanted.path)? {
        Some(mounted) if device::number(&link(wanted)) == Some(mounted) => {}
        _ => return Err(other(wanted)),
    }
    let wanted = wanted.clone();
    blocking(move || own(&wanted)).await?;
    Ok(Change::Changed("mounted".to_owned()))
}

fn doing(wanted: &MountVolume) -> String {
    format!("mounting the volume {} at {}", wanted.label, wanted.path.display())
}

fn other(wanted: &MountVolume) -> Error {
    let cause = format!("another file system is mounted at {}", wanted.path.display());
    Error::new(Code::VolumeForeign, doing(wanted), cause)
}

/// Fails if the label leads to another disk than the one that was prepared, such as the original of a restored snapshot: its
/// files would be given to this service.
fn is_of_the_device(wanted: &MountVolume) -> Result<()> {
    let named = device::find(&wanted.device).and_then(|path| device::number(&path));
    if named.is_some() && named == device::number(&link(wanted)) {
        return Ok(());
    }
    let cause = format!("{} is another disk than {}", link(wanted).display(), wanted.device);
    Err(Error::new(Code::VolumeForeign, doing(wanted), cause)
        .remedy("nothing was changed: give each disk a label of its own (e2label, xfs_admin -L), and set volume.label; then: bootagent run"))
}

fn link(wanted: &MountVolume) -> PathBuf {
    device::by_label(&wanted.label)
}

async fn linked(wanted: &MountVolume) -> Result<()> {
    let until = Instant::now() + LINK;
    while device::number(&link(wanted)).is_none() {
        if Instant::now() >= until {
            let cause = format!("udev made no link {} within {} s", link(wanted).display(), LINK.as_secs());
            return Err(Error::new(Code::VolumeFailed, doing(wanted), cause));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// The number of the device that is mounted at this path; `None` if none is.
fn mounted_at(path: &Path) -> Result<Option<u64>> {
    let doing = || "reading /proc/self/mountinfo".to_owned();
    let table = std::fs::read_to_string("/proc/self/mountinfo").coded(Code::Io, doing)?;
    Ok(last_at(&table, path))
}

/// `36 35 98:0 / /mnt rw,noatime ...`: of several mounts at one path, the last one is seen.
fn last_at(table: &str, path: &Path) -> Option<u64> {
    let path = path.to_str()?;
    let of = |line: &str| {
        let mut words = line.split(' ').skip(2);
        let (number, _, at) = (words.next()?, words.next()?, words.next()?);
        let (major, minor) = number.split_once(':')?;
        let number = nix::libc::makedev(major.parse().ok()?, minor.parse().ok()?);
        (at == path).then_some(number)
    };
    table.lines().filter_map(of).next_back()
}

fn owned(wanted: &MountVolume) -> Result<bool> {
    let place = Place::open(&wanted.path, false).and_then(|place| place.stat());
    let stat = place.doing(|| doing(wanted))?;
    let Ok(user) = users::named(&wanted.user) else { return Ok(false) };
    Ok(stat.is_some_and(|stat| stat.st_uid == user.uid.as_raw() && stat.st_gid == user.gid.as_raw()))
}

/// The top directory comes last, so that the next run begins again if this one is killed.
fn own(wanted: &MountVolume) -> Result<()> {
    let user = users::named(&wanted.user)?;
    let top = Place::open(&wanted.path, false).and_then(|place| place.open_directory());
    let top = top.doing(|| doing(wanted))?;
    let stat = fstat(top.as_fd()).doing(|| doing(wanted))?;
    if stat.st_uid != 0 && stat.st_uid != user.uid.as_raw() {
        give(&top, stat.st_uid, user.uid, user.gid)
            .map_err(|error| Error::new(Code::VolumeFailed, doing(wanted), format!("{error:#}")))?;
    }
    fchown(top.as_fd(), Some(user.uid), Some(user.gid)).doing(|| doing(wanted))?;
    fchmod(top.as_fd(), Mode::from_bits_truncate(MODE)).doing(|| doing(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_at_a_path_counts() {
        let table = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     36 22 98:0 / /data rw,noatime shared:1 - ext4 /dev/xvdf rw\n\
                     37 22 98:1 / /data/more rw - ext4 /dev/xvdg rw\n\
                     38 22 98:2 / /data rw - ext4 /dev/xvdh rw\n";
        assert_eq!(last_at(table, Path::new("/data")), Some(nix::libc::makedev(98, 2)));
        assert_eq!(last_at(table, Path::new("/data/more")), Some(nix::libc::makedev(98, 1)));
        assert_eq!(last_at(table, Path::new("/dat")), None);
    }
}
