//! journald's limit on disk. journald reads it when it starts: it keeps the logs of running services over a restart.

use crate::error::Result;
use crate::machine::Check;
use crate::machine::disk::files;
use crate::machine::process::program::tool;
use crate::plan::{LimitJournal, Mode, Owner};

const MODE: Mode = Mode(0o644);

pub fn check(limit: &LimitJournal) -> Result<Check> {
    match &limit.text {
        Some(text) => files::check_file(&limit.file, text.as_bytes(), &Owner::root(), MODE),
        None => files::check_removed(&limit.file),
    }
}

pub async fn limit(limit: &LimitJournal) -> Result<()> {
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
    tool(&["systemctl", "restart", "systemd-journald.service"], 30).await.map(|_| ())
}
