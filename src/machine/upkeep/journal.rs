//! journald's limit on disk. journald reads it when it starts: it keeps the logs of running services over a restart.

use std::path::Path;

use crate::error::Result;
use crate::machine::Check;
use crate::machine::disk::files;
use crate::machine::process::program::tool;
use crate::plan::{LimitJournal, Mode, Owner};

const MODE: Mode = Mode(0o644);
/// Exists from before a change of the file until journald has read it. In memory: after a reboot it has read it in any case.
const UNREAD: &str = "/run/bootagent/journal-limit";

pub fn check(limit: &LimitJournal) -> Result<Check> {
    if files::exists(Path::new(UNREAD))? {
        return Ok(Check::WouldChange("journald has not read it".to_owned()));
    }
    match &limit.text {
        Some(text) => files::check_file(&limit.file, text.as_bytes(), &Owner::root(), MODE),
        None => files::check_removed(&limit.file),
    }
}

pub async fn limit(limit: &LimitJournal) -> Result<()> {
    files::write(Path::new(UNREAD), b"", &Owner::root(), Mode(0o600))?;
    match &limit.text {
        Some(text) => {
            if let Some(directory) = limit.file.parent()
                && !files::exists(directory)?
            {
                files::directory(directory, &Owner::root(), Mode(0o755))?;
            }
            files::write(&limit.file, text.as_bytes(), &Owner::root(), MODE)?;
        }
        None => files::remove_file(&limit.file)?,
    }
    tool(&["systemctl", "restart", "systemd-journald.service"], 20).await?;
    files::remove_file(Path::new(UNREAD))
}
