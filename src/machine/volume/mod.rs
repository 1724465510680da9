//! A volume for the service's data: found by its name, formatted only if it is empty, mounted by its label. A volume
//! whose content is not known for certain stays unchanged.

mod content;
mod device;
mod ebs;
mod mount;
mod prepare;

pub use mount::{check as check_mount, mount};
pub use prepare::{check as check_volume, prepare};
