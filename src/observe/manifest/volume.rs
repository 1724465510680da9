//! Parses the table `[volume]` of a manifest: a disk of its own for the service's data.

use super::spanned::{Fault, Item, Placed, Read, Section, shown};
use super::values;
use crate::plan::{FileSystem, Seconds};

const KEYS: &[&str] = &["device", "filesystem", "label", "mount", "wait"];
const A_DEVICE: &str = "a device like \"/dev/sdf\" or a volume's id like \"vol-0123456789abcdef0\"";
const A_MOUNT: &str = "a path below /data, /mnt or /srv, like \"/data\"";
/// A volume that is attached by a script or a Lambda function arrives minutes after the boot.
const WAIT: Seconds = Seconds(120);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeWish {
    /// The name with which it is attached, or the volume's id.
    pub device: String,
    pub filesystem: FileSystem,
    /// None: the service's name.
    pub label: Option<String>,
    /// None: below the service's directory.
    pub mount: Option<String>,
    /// How long to wait until it is attached.
    pub wait: Seconds,
}

#[derive(Clone, Default)]
pub(super) struct VolumeLayer {
    /// Position of the table.
    at: usize,
    device: Option<String>,
    filesystem: Option<FileSystem>,
    label: Option<Placed<String>>,
    mount: Option<String>,
    wait: Option<Seconds>,
}

impl VolumeLayer {
    pub fn read(item: &Item<'_>, root: &[&str]) -> Read<VolumeLayer> {
        let section: Section<'_> = item.table()?;
        let mut volume = VolumeLayer { at: item.placed(()).at, ..VolumeLayer::default() };
        for (key, at, item) in section.entries() {
            match key {
                "device" => volume.device = Some(fitting(&item, A_DEVICE, is_device)?),
                "filesystem" => volume.filesystem = Some(filesystem(&item)?),
                "label" => {
                    let label = fitting(&item, "a label of letters, digits, - and _", is_label)?;
                    volume.label = Some(item.placed(label));
                }
                "mount" => volume.mount = Some(fitting(&item, A_MOUNT, is_mount)?),
                "wait" => volume.wait = Some(values::seconds(&item)?),
                _ => return Err(section.unknown(key, at, KEYS, root)),
            }
        }
        Ok(volume)
    }

    /// The lower layer with the values of the upper one.
    pub fn merged(under: Option<VolumeLayer>, over: Option<VolumeLayer>) -> Option<VolumeLayer> {
        let (Some(under), Some(over)) = (under.clone(), over.clone()) else { return over.or(under) };
        Some(VolumeLayer {
            at: over.at,
            device: over.device.or(under.device),
            filesystem: over.filesystem.or(under.filesystem),
            label: over.label.or(under.label),
            mount: over.mount.or(under.mount),
            wait: over.wait.or(under.wait),
        })
    }

    pub fn finish(layer: Option<VolumeLayer>) -> Read<Option<VolumeWish>> {
        let Some(layer) = layer else { return Ok(None) };
        let Some(device) = layer.device else {
            return Err(Fault { at: layer.at, what: format!("volume needs device, {A_DEVICE}") });
        };
        let filesystem = layer.filesystem.unwrap_or(FileSystem::Ext4);
        if let Some(label) =
            layer.label.as_ref().filter(|label| label.value.len() > filesystem.longest_label())
        {
            let (name, most) = (filesystem.name(), filesystem.longest_label());
            let what = format!("volume.label has more than the {most} characters that {name} allows");
            return Err(Fault { at: label.at, what });
        }
        Ok(Some(VolumeWish {
            device,
            filesystem,
            label: layer.label.map(|label| label.value),
            mount: layer.mount,
            wait: layer.wait.unwrap_or(WAIT),
        }))
    }
}

fn filesystem(item: &Item<'_>) -> Read<FileSystem> {
    let expected = "\"ext4\" or \"xfs\"";
    let name = item.string(expected)?;
    FileSystem::ALL
        .into_iter()
        .find(|filesystem| filesystem.name() == name)
        .ok_or_else(|| item.fault(format!("is {}; expected {expected}", shown(name))))
}

fn fitting(item: &Item<'_>, expected: &str, fits: fn(&str) -> bool) -> Read<String> {
    let text = item.string(expected)?;
    match fits(text) {
        true => Ok(text.to_owned()),
        false => Err(item.fault(format!("is {}; expected {expected}", shown(text)))),
    }
}

/// The names that EC2 gives to data volumes. Not the first disk, and no partition: those are the machine's own.
fn is_device(text: &str) -> bool {
    let letters = |rest: &str| {
        let plain = rest.bytes().all(|c| c.is_ascii_lowercase());
        plain && (1..=2).contains(&rest.len()) && rest != "a"
    };
    let digits = |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|c| c.is_ascii_digit());
    let hex = |text: &str| {
        let plain = text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        plain && (8..=17).contains(&text.len())
    };
    let disk = ["/dev/sd", "/dev/xvd"].iter().find_map(|front| text.strip_prefix(front));
    let nvme = text.strip_prefix("/dev/nvme").and_then(|rest| rest.strip_suffix("n1"));
    disk.is_some_and(letters)
        || nvme.is_some_and(|number| digits(number) && number != "0")
        || text.strip_prefix("vol-").is_some_and(hex)
}

fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    (1..=16).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('-')
}

/// A mount elsewhere could hide directories of the system.
fn is_mount(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let mut names = rest.split('/');
    let top = names.next().unwrap_or_default();
    let more: Vec<&str> = names.collect();
    let plain = |name: &&str| {
        let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        !name.is_empty() && letters && !name.starts_with('-')
    };
    let fits = more.iter().all(plain) && more.len() <= 4 && text.len() <= 100;
    fits && (top == "data" || (["mnt", "srv"].contains(&top) && !more.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::manifest::Manifest;

    fn volume(text: &str) -> Result<VolumeWish, String> {
        let text = format!("[volume]\n{text}\n");
        let manifest = Manifest::parse("m", &text, None, &[]).map_err(|error| error.to_string())?;
        Ok(manifest.volume.unwrap())
    }

    #[test]
    fn a_volume_has_a_device_and_defaults() {
        let read = volume("device = \"/dev/sdf\"").unwrap();
        assert_eq!(
            (read.filesystem, read.label, read.mount, read.wait.0),
            (FileSystem::Ext4, None, None, 120)
        );
        let all = "device = \"vol-0123456789abcdef0\"\nfilesystem = \"xfs\"\nlabel = \"orders\"\nmount = \"/data\"\nwait = 300";
        let read = volume(all).unwrap();
        assert_eq!((read.label.as_deref(), read.mount.as_deref()), (Some("orders"), Some("/data")));
    }

    #[test]
    fn the_machine_s_own_disks_and_directories_are_refused() {
        for device in
            ["/dev/sda", "/dev/sdf1", "/dev/nvme0n1", "/dev/nvme1n1p1", "/dev/loop0", "../x", "vol-xyz", ""]
        {
            let error = volume(&format!("device = \"{device}\"")).unwrap_err();
            assert!(error.contains("m:2:") && error.contains("expected a device"), "{device}: {error}");
        }
        for mount in ["/", "/etc", "/mnt", "/data/../etc", "/data/", "data", "/var/lib/x", "/data/-x"] {
            let error = volume(&format!("device = \"/dev/sdf\"\nmount = \"{mount}\"")).unwrap_err();
            assert!(error.contains("expected a path below"), "{mount}: {error}");
        }
        for (more, says) in [
            ("label = \"a b\"", "a label of letters"),
            ("filesystem = \"btrfs\"", "\"ext4\" or \"xfs\""),
            ("filesystem = \"xfs\"\nlabel = \"thirteen-char\"", "12 characters"),
            ("size = 1", "size"),
        ] {
            let error = volume(&format!("device = \"/dev/sdf\"\n{more}")).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(volume("label = \"x\"").unwrap_err().contains("volume needs device"));
    }
}
