//! EBS volumes of Nitro instances, where the kernel numbers the disks as it finds them. The disk itself tells its volume's id,
//! as its serial number, and the name with which it was attached. Not tried in the lab, which has no such disk.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::libc;

const MODEL: &str = "Amazon Elastic Block Store";

/// The disk of the volume `vol-<volume>`.
pub fn by_volume(volume: &str) -> Option<PathBuf> {
    let serial = format!("vol{volume}");
    disks(Path::new("/sys/class/nvme")).into_iter().find(|(_, found)| *found == serial).map(|(disk, _)| disk)
}

/// The disk that was attached under this name.
pub fn by_name(name: &str) -> Option<PathBuf> {
    let disks = disks(Path::new("/sys/class/nvme")).into_iter().map(|(disk, _)| disk);
    disks.into_iter().find(|disk| {
        let attached =
            File::open(disk).ok().and_then(|file| identify(&file)).and_then(|page| attached_as(&page));
        attached.is_some_and(|attached| attached == name.trim_start_matches("/dev/"))
    })
}

/// Each EBS disk with its serial number.
fn disks(controllers: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(controllers).into_iter().flatten().flatten();
    let mut disks = Vec::new();
    for entry in entries {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if read("model").trim() == MODEL {
            let disk = Path::new("/dev").join(format!("{}n1", entry.file_name().to_string_lossy()));
            disks.push((disk, read("serial").trim().to_owned()));
        }
    }
    disks.sort();
    disks
}

/// The controller's page of the NVMe command Identify, of 4096 bytes.
type Page = [u8; 4096];

/// Where EBS writes the name, and how long it may be.
const NAME: std::ops::Range<usize> = 3072..3104;

/// The name without `/dev/`.
fn attached_as(page: &Page) -> Option<String> {
    let name = std::str::from_utf8(&page[NAME]).ok()?.trim_end_matches(['\0', ' ']);
    let name = name.trim_start_matches("/dev/");
    (!name.is_empty()).then(|| name.to_owned())
}

/// `struct nvme_admin_cmd` of linux/nvme_ioctl.h.
#[repr(C)]
#[derive(Default)]
struct AdminCommand {
    opcode: u8,
    flags: u8,
    reserved: u16,
    namespace: u32,
    words_2_and_3: [u32; 2],
    metadata: u64,
    address: u64,
    metadata_length: u32,
    data_length: u32,
    words_10_to_15: [u32; 6],
    timeout_ms: u32,
    result: u32,
}

fn identify(disk: &File) -> Option<Box<Page>> {
    /// `NVME_IOCTL_ADMIN_CMD`.
    const ADMIN: u64 = 0xC048_4E41;
    const IDENTIFY: u8 = 6;
    /// Of the controller, not of a namespace.
    const CONTROLLER: u32 = 1;
    let mut page: Box<Page> = Box::new([0; 4096]);
    let mut command = AdminCommand {
        opcode: IDENTIFY,
        address: page.as_mut_ptr() as u64,
        data_length: 4096,
        words_10_to_15: [CONTROLLER, 0, 0, 0, 0, 0],
        timeout_ms: 5000,
        ..AdminCommand::default()
    };
    #[allow(unsafe_code)]
    // SAFETY: the kernel reads and writes `command`, of the size that the request number has, and writes at most
    // `data_length` bytes to `page`, which lives until after the call.
    let done = unsafe { libc::ioctl(disk.as_raw_fd(), ADMIN as _, &raw mut command) };
    (done == 0).then_some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_tells_the_name_under_which_it_was_attached() {
        for (written, name) in
            [("/dev/sdf", Some("sdf")), ("sdf", Some("sdf")), ("xvdf  ", Some("xvdf")), ("", None)]
        {
            let mut page: Page = [0; 4096];
            page[NAME.start..NAME.start + written.len()].copy_from_slice(written.as_bytes());
            assert_eq!(attached_as(&page).as_deref(), name, "{written}");
        }
        assert_eq!(std::mem::size_of::<AdminCommand>(), 72, "as the request's number says");
    }

    #[test]
    fn only_disks_of_ebs_count() {
        let root = tempfile::tempdir().unwrap();
        for (name, model, serial) in [
            ("nvme0", "Amazon EC2 NVMe Instance Storage", "AWS1"),
            ("nvme1", "Amazon Elastic Block Store              ", "vol0123456789abcdef0"),
        ] {
            std::fs::create_dir(root.path().join(name)).unwrap();
            std::fs::write(root.path().join(name).join("model"), model).unwrap();
            std::fs::write(root.path().join(name).join("serial"), format!("{serial}\n")).unwrap();
        }
        assert_eq!(disks(root.path()), [("/dev/nvme1n1".into(), "vol0123456789abcdef0".to_owned())]);
    }
}
