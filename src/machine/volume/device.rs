//! Finds the block device of a volume. EC2 attaches a volume under a name such as /dev/sdf, which the kernel calls /dev/xvdf,
//! or on Nitro instances /dev/nvme1n1.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::ebs;

/// The device of this name or volume id; `None` if it is not attached.
pub fn find(name: &str) -> Option<PathBuf> {
    match name.strip_prefix("vol-") {
        Some(volume) => by_volume(Path::new("/dev/disk/by-id"), volume).or_else(|| ebs::by_volume(volume)),
        None => {
            candidates(name).into_iter().find(|path| is_block_device(path)).or_else(|| ebs::by_name(name))
        }
    }
}

/// The link that udev makes of a volume's id.
fn by_volume(links: &Path, volume: &str) -> Option<PathBuf> {
    let link = links.join(format!("nvme-Amazon_Elastic_Block_Store_vol{volume}"));
    is_block_device(&link).then_some(link)
}

/// The link that udev makes of a label.
pub fn by_label(label: &str) -> PathBuf {
    Path::new("/dev/disk/by-label").join(label)
}

fn candidates(name: &str) -> Vec<PathBuf> {
    let kernel_s = name.strip_prefix("/dev/sd").map(|letters| format!("/dev/xvd{letters}"));
    [Some(name.to_owned()), kernel_s].into_iter().flatten().map(PathBuf::from).collect()
}

fn is_block_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_block_device())
}

/// The number of a block device, also through a link.
pub fn number(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(|found| found.file_type().is_block_device()).map(|found| found.rdev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_name_stands_for_the_one_of_ec2() {
        assert_eq!(candidates("/dev/sdf"), ["/dev/sdf", "/dev/xvdf"].map(PathBuf::from));
        assert_eq!(candidates("/dev/xvdf"), ["/dev/xvdf"].map(PathBuf::from));
        assert_eq!(candidates("/dev/nvme1n1"), ["/dev/nvme1n1"].map(PathBuf::from));
    }

    #[test]
    fn a_link_to_nothing_or_to_a_file_is_not_a_device() {
        let links = tempfile::tempdir().unwrap();
        std::fs::write(links.path().join("nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"), "")
            .unwrap();
        assert_eq!(by_volume(links.path(), "0123456789abcdef0"), None);
        assert_eq!(number(Path::new("/dev/null")), None);
    }
}
