//! What an operator told this machine: a hold, units that are masked, an agent that is disabled. Only `hold` and
//! `unhold` write here, on a person's word; no step of a plan does.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Code, Coded, Error, Result};
use crate::facts::{Hold, Operator};
use crate::machine;
use crate::machine::disk::files;
use crate::plan::layout;
use crate::plan::{Mode, Owner};

/// Longer than any reason that is written by hand.
const LONGEST: u64 = 64 << 10;
const UNITS: [&str; 2] = ["/etc/systemd/system", "/run/systemd/system"];
const AGENT: &str = "/etc/systemd/system/bootagent.service";
const AGENT_WANTED: &str = "/etc/systemd/system/multi-user.target.wants/bootagent.service";

pub fn said() -> Result<Operator> {
    Ok(Operator {
        // Root's records are not for everybody: others plan without them.
        hold: held().unwrap_or_default(),
        masked: masked()?,
        agent_disabled: files::exists(Path::new(AGENT))? && !files::exists(Path::new(AGENT_WANTED))?,
    })
}

/// Units that nothing may start: links to /dev/null, as `systemctl mask` makes them, also by `--runtime`.
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

/// The hold that is in force. A file that an operator made by hand, or that cannot be read as one, holds the machine
/// as well: since it was changed.
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

/// From now on no run changes this machine. Held again it keeps the moment since when, and gets the new reason.
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

/// Whether this boot was not told of the hold yet.
pub fn is_news() -> bool {
    std::fs::File::create_new(layout::HOLD_TOLD).is_ok()
}

/// The hold that this ended, if there was one.
pub fn unhold() -> Result<Option<Hold>> {
    let before = held()?;
    files::remove_file(Path::new(layout::HOLD))?;
    files::remove_file(Path::new(layout::HOLD_TOLD))?;
    Ok(before)
}
