//! Looks for secrets on the disk, in the places where people, scripts and services leave them. No value is in an error.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::looks_secret::looks_secret;
use crate::error::{Code, Coded, Error, Result};
use crate::facts::Facts;
use crate::machine::disk::path_at::Place;
use crate::machine::disk::walk::walk;
use crate::plan::layout::Layout;
use crate::secret::{ForeignText, Message};

/// What a person writes, and what a key has, is shorter. In bytes.
const LONGEST: u64 = 256 << 10;
/// That an error names.
const MOST: usize = 5;

const PLACES: &[&str] = &[
    "/etc",
    "/home",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/usr/local/etc",
    "/var/cache/bootagent",
    "/var/lib/bootagent",
    "/var/tmp",
    "/var/www",
];

/// What is not looked into: the seal removes the first ones, the distribution makes the next ones on each machine, and the
/// rest are packages of many files, whose tests have keys that everyone knows.
const EXCEPT: &[&str] = &[
    "/etc/ssh/ssh_host_",
    "/etc/ssl/private/ssl-cert-snakeoil.key",
    "/etc/pki/ca-trust/",
    "/etc/pki/tls/private/localhost.key",
    "/var/lib/bootagent/swap",
    "/opt/bootagent/",
];
const TREES: &[&str] = &["node_modules", ".venv", "site-packages", "_cacache"];

/// Fails if a file looks like a secret. `allowed`: files that the operator wants in the image.
pub fn refuse(facts: &Facts, allowed: &[PathBuf]) -> Result<()> {
    // A release has what its commit has, and was built without any value.
    let releases: Vec<PathBuf> = facts.claims.iter().map(|one| Layout::new(one).releases()).collect();
    let data = facts.claims.iter().map(|service| Layout::new(service).data());
    let mut found = Vec::new();
    for place in PLACES.iter().map(PathBuf::from).chain(data) {
        let doing = || format!("looking for secrets in {}", place.display());
        let directory = match Place::open(&place, false).and_then(|place| place.open_directory()) {
            // A link leads to another one of the places, or to a disk of its own.
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR) => continue,
            directory => directory.doing(doing)?,
        };
        let enters = |path: &Path| {
            let at = place.join(path);
            let name = at.file_name().unwrap_or_default().to_string_lossy();
            let is_except = EXCEPT.iter().any(|except| format!("{}/", at.display()).starts_with(except));
            !(is_except || TREES.contains(&name.as_ref()) || releases.contains(&at) || allowed.contains(&at))
        };
        walk(&directory, &enters, &mut |file, path| {
            found.extend(judged(file, path)?.map(|what| (place.join(path), what)));
            Ok(found.len() > MOST)
        })
        .doing(doing)?;
    }
    if found.is_empty() {
        return Ok(());
    }
    let more = if found.len() > MOST { ", and more" } else { "" };
    let each = found.iter().take(MOST).map(|(path, what)| {
        Message::from(ForeignText::line(&path.to_string_lossy())).and(format!(" looks like {what}"))
    });
    let cause = Message::joined(each, ", ").and(more);
    Err(Error::new(Code::ImageSecret, "making an image of this machine", cause).in_public())
}

fn judged(file: File, path: &Path) -> std::io::Result<Option<&'static str>> {
    let mut content = Vec::new();
    file.take(LONGEST).read_to_end(&mut content)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(looks_secret(&name, &content))
}
