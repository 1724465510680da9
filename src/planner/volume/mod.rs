//! The steps that prepare and mount the service's volume. Adds steps only; the manifest's table is in `observe/manifest`.

pub mod place;

use std::fmt::Write;
use std::path::Path;

use super::digest::digest;
use super::draft::Draft;
use super::steps::Steps;
use crate::fault::Phase;
use crate::observe::manifest::Manifest;
use crate::plan::layout::Layout;
use crate::plan::{Action, FileSystem, MountVolume, PrepareVolume, Seconds};
use place::path;

/// Not a service's unit: a format that was begun must end, also if the run is killed.
const FORMATS: &str = "bootagent.format.service";
/// The manifest's label, else the service's name, which is shortened with a digest if a file system cannot have all of it:
/// two services whose names begin alike must not have one label.
fn label(manifest: &Manifest, layout: &Layout) -> String {
    let own = manifest.volume.as_ref().and_then(|volume| volume.label.clone());
    own.unwrap_or_else(|| short(layout.user()))
}

/// `reminder-service` is `reminde-` and four digits.
fn short(service: &str) -> String {
    /// `-` and four hexadecimal digits.
    const DIGEST: usize = 5;
    let most = FileSystem::Xfs.longest_label();
    if service.len() <= most {
        return service.to_owned();
    }
    let (beginning, digest): (String, String) =
        (service.chars().take(most - DIGEST).collect(), digest([service]).chars().take(DIGEST - 1).collect());
    format!("{}-{digest}", beginning.trim_end_matches('-'))
}

/// Adds the steps, which come before the release is complete: nothing of the service may run without its volume.
pub fn mount(steps: &mut Steps, draft: &Draft) {
    let (manifest, layout) = (draft.wanted.manifest, &draft.layout);
    let (Some(volume), Some(path)) = (&manifest.volume, path(manifest, layout)) else { return };
    let label = label(manifest, layout);
    let prepare = PrepareVolume {
        device: volume.device.clone(),
        filesystem: volume.filesystem,
        label: label.clone(),
        wait: volume.wait,
        unit: FORMATS.to_owned(),
    };
    let packages: Vec<&str> = ["packages"].into_iter().filter(|id| steps.has(id)).collect();
    let why = "waits until it is attached; only an empty one is formatted";
    steps
        .add("volume", why, Action::PrepareVolume(prepare))
        .after(&["remove-leftovers"])
        .after(&packages)
        .lasting(Seconds(volume.wait.0 + Phase::Tidy.seconds().0));
    let unit = unit_name(&path);
    let text = unit_text(layout, &path, &label, volume.filesystem);
    let at = Path::new("/etc/systemd/system").join(&unit);
    let why = "mounts the volume by its label; a boot does not wait for it";
    steps.file("volume-unit", why, at, text, 0o644).after(&["remove-leftovers"]);
    steps
        .add("volume-reload", "systemd reads the unit", Action::ReloadUnit { unit: unit.clone() })
        .after(&["volume-unit"])
        .within(Phase::Reload);
    let action =
        MountVolume { device: volume.device.clone(), label, path, unit, user: layout.user().to_owned() };
    let why = "the volume of the service's data; its files belong to the service's user";
    steps
        .add("mount", why, Action::MountVolume(action))
        .after(&["volume", "volume-reload", "data"])
        .within(Phase::Tidy);
    steps.finished_by("mount");
}

fn unit_text(layout: &Layout, path: &Path, label: &str, filesystem: FileSystem) -> String {
    format!(
        "# Written by bootagent; do not edit: each run replaces this file.
[Unit]
Description=data of {service}

[Mount]
What=/dev/disk/by-label/{label}
Where={path}
Type={kind}
Options=nofail,noatime,nodev,nosuid
TimeoutSec=60
",
        service = layout.user(),
        path = path.display(),
        kind = filesystem.name(),
    )
}

/// The name that systemd requires for the mount unit of a path.
fn unit_name(path: &Path) -> String {
    let path = path.display().to_string();
    let mut name = String::new();
    for byte in path.trim_matches('/').bytes() {
        match byte {
            b'/' => name.push('-'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b':' => name.push(char::from(byte)),
            // Writing to a String cannot fail.
            other => _ = write!(name, "\\x{other:02x}"),
        }
    }
    name + ".mount"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_alike_have_different_labels() {
        assert_eq!([short("orders-db"), short("twelve-chars")], ["orders-db", "twelve-chars"]);
        let labels = [
            "reminder-service",
            "reminder-service-2",
            "reminder-worker",
            "remind--------a",
            "remind--------b",
        ]
        .map(short);
        let different: std::collections::BTreeSet<_> = labels.iter().collect();
        assert_eq!(different.len(), labels.len(), "{labels:?}");
        assert!(labels.iter().all(|label| label.starts_with("remind") && label.len() <= 12), "{labels:?}");
    }

    #[test]
    fn a_mount_unit_is_named_by_its_path() {
        for (path, name) in [
            ("/data", "data.mount"),
            ("/data/pg", "data-pg.mount"),
            ("/var/lib/orders-db/volume", "var-lib-orders\\x2ddb-volume.mount"),
        ] {
            assert_eq!(unit_name(Path::new(path)), name);
        }
    }
}
