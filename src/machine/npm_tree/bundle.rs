//! The packages that an archive brought along below its `node_modules`: whether npm would make of them what the lockfile says.

use std::path::Path;

use super::failure::{Failure, Result};
use super::files::read;
use crate::npm::Package;

/// npm would read these for the packages in the archive.
const LOCKFILES: &[&str] = &["package-lock.json", "npm-shrinkwrap.json", "yarn.lock"];

/// `root` is the unpacked package: without links, and with no packages but those that the lockfile lists.
pub fn check(package: &Package, root: &Path) -> Result<()> {
    let bundled = package.bundle.packages();
    if bundled.is_empty() {
        return Ok(());
    }
    if let Some(lockfile) = LOCKFILES.iter().find(|name| root.join(name).exists()) {
        return for_npm(package, format!("a {lockfile} of its own"));
    }
    let own: Option<serde_json::Value> =
        read(&root.join("package.json")).and_then(|text| serde_json::from_str(&text).ok());
    if own.is_none_or(|own| own.get("workspaces").is_some()) {
        return for_npm(package, "an unusual package.json".to_owned());
    }
    for one in bundled {
        let directory = root.join(&one.path);
        let shown = crate::secret::excerpt(&one.path);
        let Some(text) = read(&directory.join("package.json")) else {
            return for_npm(package, format!("no package.json in {shown}"));
        };
        if let Some(key) = one.difference(&text) {
            return for_npm(package, format!("another {key} in package.json of {shown} than the lockfile"));
        }
        if directory.join("binding.gyp").exists() {
            return for_npm(package, format!("a native addon (binding.gyp) in {shown}"));
        }
    }
    Ok(())
}

fn for_npm<T>(package: &Package, what: String) -> Result<T> {
    Err(Failure::ForNpm(format!("the archive of {} has {what}", package.id)))
}
