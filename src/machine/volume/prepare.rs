//! Waits for a volume, and formats it if it is empty. The program that formats runs in a unit that goes on if this run is
//! killed: a half-formatted disk would be neither empty nor a file system, and would be refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::content::{self, Content};
use super::device;
use crate::error::{Code, Error, Result};
use crate::machine::jail::unit::systemd_run;
use crate::machine::process::program::{self, how_it_ended};
use crate::machine::process::units;
use crate::machine::{Change, Check, progress};
use crate::plan::{FileSystem, PrepareVolume};
use crate::secret::{ForeignText, Message};

const PAUSE: Duration = Duration::from_millis(500);
/// Formatting writes little; it takes long only on a disk that hangs.
const FORMAT: Duration = Duration::from_secs(90);

pub async fn check(wanted: &PrepareVolume) -> Result<Check> {
    let Some(device) = device::find(&wanted.device) else {
        return Ok(Check::WouldChange("not attached".to_owned()));
    };
    Ok(match fits(wanted, &device, content::look(&device).await?)? {
        true => Check::AlreadySo,
        false => Check::WouldChange(format!("{} is empty", device.display())),
    })
}

pub async fn prepare(wanted: &PrepareVolume) -> Result<Change> {
    let device = attached(wanted).await?;
    ended(&wanted.unit).await?;
    if fits(wanted, &device, content::look(&device).await?)? {
        return Ok(Change::Changed(format!("{} has its file system", device.display())));
    }
    refuse_second(wanted, &device)?;
    format(wanted, &device).await?;
    match fits(wanted, &device, content::look(&device).await?)? {
        true => Ok(Change::Changed(format!("{} formatted", device.display()))),
        false => Err(failed(wanted, &device, "it is still empty")),
    }
}

fn doing(wanted: &PrepareVolume) -> String {
    format!("preparing the volume {}", wanted.device)
}

fn failed(wanted: &PrepareVolume, device: &Path, cause: impl Into<Message>) -> Error {
    let cause = Message::from(format!("formatting {}: ", device.display())).and(cause);
    Error::new(Code::VolumeFailed, doing(wanted), cause)
}

/// The device, as soon as it is attached.
async fn attached(wanted: &PrepareVolume) -> Result<PathBuf> {
    let until = Instant::now() + wanted.wait.duration();
    loop {
        if let Some(device) = device::find(&wanted.device) {
            return Ok(device);
        }
        if Instant::now() >= until {
            let cause = format!("it was not attached within {}", wanted.wait);
            return Err(Error::new(Code::VolumeMissing, doing(wanted), cause));
        }
        progress::say(format!("waiting until {} is attached", wanted.device));
        sleep(PAUSE).await;
    }
}

/// Whether it is this service's file system; false if it is empty. Anything else is an error.
fn fits(wanted: &PrepareVolume, device: &Path, content: Content) -> Result<bool> {
    let foreign = |what: Message| {
        let cause = Message::from(format!("{} has ", device.display())).and(what).and(format!(
            ", and not {} with the label {}",
            wanted.filesystem.name(),
            wanted.label
        ));
        Err(Error::new(Code::VolumeForeign, doing(wanted), cause))
    };
    match content {
        Content::Empty => Ok(false),
        Content::FileSystem { kind, label } if kind == wanted.filesystem.name() && label == wanted.label => {
            Ok(true)
        }
        Content::FileSystem { kind, label } => {
            let label = if label.is_empty() {
                "without a label".into()
            } else {
                Message::from("with the label ").and(ForeignText::line(&label))
            };
            foreign(Message::from(ForeignText::line(&kind)).and(" ").and(label))
        }
        Content::Other(what) => foreign(what.into()),
    }
}

/// With two disks of one label, a boot would mount either of them.
fn refuse_second(wanted: &PrepareVolume, empty: &Path) -> Result<()> {
    let other = device::number(&device::by_label(&wanted.label));
    if other.is_none() || other == device::number(empty) {
        return Ok(());
    }
    let cause =
        format!("{} is empty, and another disk has the label {} already", empty.display(), wanted.label);
    Err(Error::new(Code::VolumeForeign, doing(wanted), cause)
        .remedy("nothing was changed: is volume.device the right one? If so, set volume.label to another label; then: bootagent run"))
}

/// Waits until the format of a killed run has ended.
async fn ended(unit: &str) -> Result<()> {
    let until = Instant::now() + FORMAT;
    while !units::state(unit).await?.is_down() && Instant::now() < until {
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Both programs open the device for themselves alone, and refuse one that is in use.
async fn format(wanted: &PrepareVolume, device: &Path) -> Result<()> {
    let program = match wanted.filesystem {
        FileSystem::Ext4 => "mkfs.ext4",
        FileSystem::Xfs => "mkfs.xfs",
    };
    let device_path = device.display().to_string();
    let argv = [program, "-q", "-L", &wanted.label, &device_path].map(str::to_owned);
    let properties = [format!("RuntimeMaxSec={}", FORMAT.as_secs())];
    let line = systemd_run(&wanted.unit, properties, [], &argv);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    units::forget_failed(&wanted.unit).await;
    let output = program::run(&line, None, FORMAT + Duration::from_secs(10), 64 << 10).await?;
    match output.ok() {
        true => Ok(()),
        false => Err(failed(wanted, device, how_it_ended(&output)).saying(output.both_ends())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Seconds;
    use crate::secret::Redaction;

    fn judged(content: Content) -> Result<bool, String> {
        let wanted = PrepareVolume {
            device: "/dev/sdf".to_owned(),
            filesystem: FileSystem::Ext4,
            label: "orders".to_owned(),
            wait: Seconds(1),
            unit: "x.service".to_owned(),
        };
        fits(&wanted, Path::new("/dev/xvdf"), content).map_err(|error| {
            assert_eq!(error.code(), Code::VolumeForeign);
            error.redacted(&Redaction::default()).report().causes.join(": ")
        })
    }

    fn file_system(kind: &str, label: &str) -> Content {
        Content::FileSystem { kind: kind.to_owned(), label: label.to_owned() }
    }

    #[test]
    fn only_an_empty_volume_may_be_formatted() {
        assert_eq!(judged(Content::Empty), Ok(false));
        assert_eq!(judged(file_system("ext4", "orders")), Ok(true));
        for (content, says) in [
            (file_system("ext4", "billing"), "/dev/xvdf has ext4 with the label billing"),
            (file_system("ext4", ""), "ext4 without a label, and not ext4 with the label orders"),
            (file_system("xfs", "orders"), "xfs"),
            (Content::Other("a partition table (gpt)".to_owned()), "a partition table"),
        ] {
            let cause = judged(content).unwrap_err();
            assert!(cause.contains(says), "{cause}");
        }
    }
}
