//! What runs is what is wanted: compared by the bytes from which the running unit was started.

use sha2::{Digest, Sha256};

use super::{files, units};
use crate::error::Result;
use crate::machine::{Change, Look};
use crate::plan::{Handover, Mode, Owner};

pub async fn look(handover: &Handover) -> Result<Look> {
    let state = units::state(&handover.unit).await?;
    if !state.is_active() {
        return Ok(Look::WouldChange(if state.active.is_empty() {
            "not running".into()
        } else {
            state.active
        }));
    }
    match files::read(&handover.record)? {
        Some(record) if record == digest(handover)?.as_bytes() => Ok(Look::AlreadySo),
        _ => Ok(Look::WouldChange("runs something else".into())),
    }
}

pub async fn hand_over(handover: &Handover) -> Result<Change> {
    if look(handover).await? == Look::AlreadySo {
        return Ok(Change::Unchanged);
    }
    let digest = digest(handover)?;
    // Between the two nobody knows what runs: a run that is killed there restarts once more, also when it
    // wants what was noted before.
    files::remove_file(&handover.record)?;
    units::restart(&handover.unit).await?;
    files::write(&handover.record, digest.as_bytes(), &Owner::root(), Mode(0o600))?;
    Ok(Change::Changed(format!("{} started", handover.unit)))
}

fn digest(handover: &Handover) -> Result<String> {
    let mut hash = Sha256::new();
    for input in &handover.inputs {
        let bytes = match files::target(input)? {
            Some(target) => target.into_os_string().into_encoded_bytes(),
            // What runs holds on to the one that it was started with: one made anew under its name is none
            // that it can write, and gets another number for as long as that lasts.
            None => match files::which_directory(input)? {
                Some(number) => format!("{number:?}").into_bytes(),
                None => files::read(input)?.unwrap_or_default(),
            },
        };
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
