//! `bootagent watch`: what bootagent-watch.service runs. A run writes what it watches.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::machine::{self, LocalHost};
use crate::plan::{Watch, layout};

/// Until a signal ends it.
pub async fn watch() -> u8 {
    match ready() {
        Ok((machine, wanted)) => {
            Box::pin(crate::watch::watch(&machine, &wanted)).await;
            0
        }
        Err(error) => super::print_error(&error),
    }
}

fn ready() -> Result<(LocalHost, Watch)> {
    let doing = || format!("reading {}", layout::WATCH_FILE);
    let machine = LocalHost::observer();
    super::root_only(&machine, "watching", "systemctl start bootagent-watch runs it as root")?;
    let remedy = "[watch] in the policy switches the watcher on: bootagent run then writes what it watches";
    let bytes = machine::read_file(Path::new(layout::WATCH_FILE))?
        .ok_or_else(|| Error::new(Code::Usage, doing(), "there is no such file").remedy(remedy))?;
    let wanted = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(Code::RecordUnreadable, doing(), error).remedy("bootagent run writes it again")
    })?;
    Ok((machine, wanted))
}
