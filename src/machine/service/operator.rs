//! What an operator ordered on this machine: a hold, masked units, bootagent's own unit disabled. Only the commands
//! `bootagent hold` and `unhold` change it, never a step of a plan.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Code, Coded, Error, Result};
use crate::facts::{Hold, Operator};
use crate::machine;
use crate::machine::disk::files;
use crate::plan::layout;
use crate::plan::{Mode, Owner};

/// The most bytes of a hold's file that are read. A reason that a person writes is shorter.
const LONGEST: u64 = 64 << 10;
const UNITS: [&str; 2] = ["/etc/systemd/system", "/run/systemd/system"];
const AGENT: &str = "/etc/systemd/system/bootagent.service";
const AGENT_WANTED: &str = "/etc/systemd/system/multi-user.target.wants/bootagent.service";

pub fn said() -> Result<Operator> {
    Ok(Operator {
        // Only root can read the hold: a dry run of another user plans without it.
        hold: held().unwrap_or_default(),
        masked: masked()?,
        agent_disabled: files::exists(Path::new(AGENT))? && !files::exists(Path::new(AGENT_WANTED))?,
    })
}

/// Masked units: links to /dev/null, made by `systemctl mask`, also with `--runtime`.
fn masked() -> Result<BTreeSet<String>> {
    let mut masked = BTreeSet::new();
    for directory in UNITS.map(Path::new) {
        for name in files::names(directory)?.into_iter().filter(|name| name.ends_with(".service")) {
            if files::target(&directory.join(&name))?.is_some_and(|target| target == Path::new("/dev/null")) {
                masked.insert(name);
            }
        }
    }
    Ok(masked)
}

/// The current hold. A file with other content (`touch` by an operator, or damaged) counts as a hold, too, without a
/// reason and since the file's last change.
pub fn held() -> Result<Option<Hold>> {
    let path = Path::new(layout::HOLD);
    let doing = || format!("reading {}", path.display());
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.doing(doing)?,
    };
    let text = if metadata.is_file() { files::text(path, LONGEST).unwrap_or_default() } else { None };
    let read = text.and_then(|text| serde_json::from_str(&text).ok());
    let by_hand = || Hold { since: u64::try_from(metadata.mtime()).unwrap_or(0), reason: String::new() };
    Ok(Some(read.unwrap_or_else(by_hand)))
}

/// Holds the machine. If it is held already, the time is kept, and the reason is replaced if one is given.
pub fn hold(reason: Option<String>) -> Result<Hold> {
    let before = held()?;
    let Hold { since, reason: former } =
        before.unwrap_or_else(|| Hold { since: machine::now(), reason: String::new() });
    let hold = Hold { since, reason: reason.unwrap_or(former) };
    let text =
        serde_json::to_string(&hold).map_err(|error| Error::new(Code::Bug, "writing the hold", error))?;
    files::directory(Path::new(layout::STATE), &Owner::root(), Mode(0o700))?;
    files::write(Path::new(layout::HOLD), (text + "\n").as_bytes(), &Owner::root(), Mode(0o600))?;
    Ok(hold)
}

/// Whether this is the first run of this boot to report the hold; the next call returns false.
pub fn is_news() -> bool {
    std::fs::File::create_new(layout::HOLD_TOLD).is_ok()
}

/// Ends the hold. Returns it, if there was one.
pub fn unhold() -> Result<Option<Hold>> {
    let before = held()?;
    files::remove_file(Path::new(layout::HOLD))?;
    files::remove_file(Path::new(layout::HOLD_TOLD))?;
    Ok(before)
}
