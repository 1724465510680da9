//! Ensures that the unit runs from the files that are there now, and restarts it only if it does not. A record of the
//! last start has the digest of the unit's input files and the invocation id that systemd gave to the start. It starts,
//! restarts or reloads the unit and writes that record; it changes nothing else.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{process_unit, start};
use crate::error::Result;
use crate::machine::disk::files;
use crate::machine::process::units::{self, UnitState};
use crate::machine::{Change, Check};
use crate::plan::{EnsureRunning, Mode, Owner, layout};

const OTHER: &str = "runs something else";

/// The record of the last start, one line per field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    /// Of all input files.
    digest: String,
    /// The unit's invocation id. Absent in records of earlier versions of bootagent.
    invocation: Option<String>,
    /// The digest of the inputs that need a restart. Absent in records of earlier versions, too.
    fixed: Option<String>,
}

impl Record {
    fn parse(bytes: &[u8]) -> Record {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines().map(str::trim);
        let digest = lines.next().unwrap_or_default().to_owned();
        let mut next = || lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
        Record { digest, invocation: next(), fixed: next() }
    }

    fn text(&self) -> String {
        let [invocation, fixed] =
            [&self.invocation, &self.fixed].map(|line| line.as_deref().unwrap_or_default());
        format!("{}\n{invocation}\n{fixed}\n", self.digest)
    }
}

/// Compares the running unit with the input files as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Running {
    /// Started from these files, by the recorded start.
    AsRecorded,
    /// Started from these files by systemd after a crash, or by an operator: another invocation than the recorded one.
    Restarted,
    /// Started from other files, or the files are unknown.
    Other,
}

/// An invocation that is not the recorded one read the files when it started. If a file changed since then, it runs
/// from other content, even if the digest is right again by now.
fn judge(
    record: Option<&Record>,
    digest: &str,
    invocation: &str,
    changed_since: impl FnOnce() -> bool,
) -> Running {
    match record {
        Some(record) if record.digest == digest => match &record.invocation {
            Some(recorded) if recorded == invocation => Running::AsRecorded,
            _ if changed_since() => Running::Other,
            _ => Running::Restarted,
        },
        _ => Running::Other,
    }
}

pub async fn check(ensure: &EnsureRunning) -> Result<Check> {
    let state = units::state(&ensure.unit).await?;
    if !state.is_active() {
        return Ok(Check::WouldChange(if state.active.is_empty() {
            "not running".into()
        } else {
            state.active
        }));
    }
    Ok(match running(ensure, &state).await? {
        Running::AsRecorded | Running::Restarted => match process_unit::down(&ensure.beside).await? {
            Some(unit) => Check::WouldChange(format!("{unit} does not run")),
            None => Check::AlreadySo,
        },
        Running::Other => Check::WouldChange(match changed_by_hand(ensure).await? {
            Some(how) => format!("{OTHER}: {how}"),
            None => OTHER.into(),
        }),
    })
}

/// What an operator changed since bootagent last started the unit: its environment, unit file or link, perhaps followed
/// by a restart. `None` if nothing changed, if the unit does not run, or if there is no record to compare with. (A run
/// that was killed between changing the files and the restart looks the same.)
pub async fn changed_by_hand(ensure: &EnsureRunning) -> Result<Option<String>> {
    let state = units::state(&ensure.unit).await?;
    let Some(recorded) = files::changed(&ensure.record)? else { return Ok(None) };
    if !state.is_active() || running(ensure, &state).await? != Running::Other {
        return Ok(None);
    }
    let newer: Vec<String> =
        changed_after(ensure, recorded)?.iter().map(|path| path.display().to_string()).collect();
    Ok(Some(match newer.is_empty() {
        true => "it was not started from the files that are there".to_owned(),
        false => format!("{} changed after bootagent started it", newer.join(", ")),
    }))
}

/// Restarts or reloads the unit, unless it runs from the files that are there now.
pub async fn hand_over(ensure: &EnsureRunning) -> Result<Change> {
    let state = units::state(&ensure.unit).await?;
    if state.is_active() {
        match running(ensure, &state).await? {
            Running::AsRecorded => return beside(ensure).await,
            Running::Restarted => {
                write_record(ensure, Digests::now(ensure)?, state.invocation)?;
                return beside(ensure).await;
            }
            Running::Other if may_reload(ensure, &state)? => return reload(ensure, state).await,
            Running::Other => {}
        }
    }
    // Computed before the start: a file that changes during the start may not be what the service read.
    let digests = Digests::now(ensure)?;
    // Removed first: if this run is killed before it writes the new record, the next run restarts the unit, and does
    // not trust a record of an earlier start.
    files::remove_file(&ensure.record)?;
    start::restart(&ensure.unit).await?;
    process_unit::restart(&ensure.beside).await?;
    write_record(ensure, digests, units::state(&ensure.unit).await?.invocation)?;
    Ok(Change::Changed(format!("{} started", ensure.unit)))
}

/// Of a service that runs as it is wanted: starts the units beside it that do not run.
async fn beside(ensure: &EnsureRunning) -> Result<Change> {
    Ok(match process_unit::start_down(&ensure.beside).await? {
        true => Change::Changed("the units beside it started".to_owned()),
        false => Change::Unchanged,
    })
}

/// Whether a reload is enough: bootagent started this invocation, and since then only files changed that a reload
/// reads.
fn may_reload(ensure: &EnsureRunning, state: &UnitState) -> Result<bool> {
    let Some(record) = files::read(&ensure.record)?.map(|bytes| Record::parse(&bytes)) else {
        return Ok(false);
    };
    let is_recorded = record.invocation.as_ref() == Some(&state.invocation);
    Ok(!ensure.reloads.is_empty() && is_recorded && record.fixed == Some(Digests::now(ensure)?.fixed))
}

/// Reloads the unit. Its invocation stays the same although its processes may be new, so the mark of the passed health
/// check is removed: the check must run again.
async fn reload(ensure: &EnsureRunning, state: UnitState) -> Result<Change> {
    let digests = Digests::now(ensure)?;
    files::remove_file(&ensure.record)?;
    files::remove_file(&layout::passed(&ensure.unit))?;
    start::reload(&ensure.unit).await?;
    process_unit::restart(&ensure.beside).await?;
    write_record(ensure, digests, state.invocation)?;
    Ok(Change::Changed(format!("{} reloaded", ensure.unit)))
}

fn write_record(ensure: &EnsureRunning, digests: Digests, invocation: String) -> Result<()> {
    let record = Record { digest: digests.all, invocation: Some(invocation), fixed: Some(digests.fixed) };
    files::write(&ensure.record, record.text().as_bytes(), &Owner::root(), Mode(0o600))
}

async fn running(ensure: &EnsureRunning, state: &UnitState) -> Result<Running> {
    let record = files::read(&ensure.record)?.map(|bytes| Record::parse(&bytes));
    let digest = Digests::now(ensure)?.all;
    let is_known = record.as_ref().is_some_and(|record| {
        record.digest != digest || record.invocation.as_ref() == Some(&state.invocation)
    });
    // The start time matters only for an invocation that is not the recorded one.
    let started = if is_known || record.is_none() { None } else { units::started(&ensure.unit).await? };
    let changed = match started {
        Some(started) => !changed_after(ensure, started)?.is_empty(),
        None => true,
    };
    Ok(match judge(record.as_ref(), &digest, &state.invocation, || changed) {
        Running::AsRecorded if may_have_been_reloaded(ensure)? => Running::Other,
        judged => judged,
    })
}

/// Whether a file that a reload reads was changed since the record was written, and is as before by now. An operator may have
/// reloaded the unit in between, which gives it no new invocation: then it runs from what the file was meanwhile.
fn may_have_been_reloaded(ensure: &EnsureRunning) -> Result<bool> {
    let Some(recorded) = files::changed(&ensure.record)? else { return Ok(false) };
    let newer = changed_after(ensure, recorded)?;
    Ok(newer.iter().any(|input| ensure.reloads.iter().any(|reloads| reloads == input)))
}

/// The inputs that changed after `moment`, in microseconds since 1970, by their ctime: `touch` and `mv` can set back an
/// mtime but not a ctime.
fn changed_after(ensure: &EnsureRunning, moment: u64) -> Result<Vec<&Path>> {
    let mut newer = Vec::new();
    for input in &ensure.inputs {
        // A directory's ctime changes whenever the service writes into it. The digest has the directory's inode
        // instead.
        let is_directory = files::directory_id(input)?.is_some();
        if !is_directory && files::changed(input)?.is_some_and(|changed| changed > moment) {
            newer.push(input.as_path());
        }
    }
    Ok(newer)
}

/// Digests of the unit's input files.
struct Digests {
    all: String,
    /// Without the files that a reload reads again.
    fixed: String,
}

impl Digests {
    fn now(ensure: &EnsureRunning) -> Result<Digests> {
        let fixed = ensure.inputs.iter().filter(|input| !ensure.reloads.contains(input));
        Ok(Digests { all: digest(ensure.inputs.iter())?, fixed: digest(fixed)? })
    }
}

fn digest<'a>(inputs: impl Iterator<Item = &'a PathBuf>) -> Result<String> {
    let mut hash = Sha256::new();
    for input in inputs {
        let bytes = match files::target(input)? {
            Some(target) => target.into_os_string().into_encoded_bytes(),
            // A running service keeps the directory that systemd mounted for it. If the directory is replaced by a new
            // one of the same name, the service cannot write to that. The new one has another inode while the old is in
            // use.
            None => match files::directory_id(input)? {
                Some(number) => format!("{number:?}").into_bytes(),
                None => files::read(input)?.unwrap_or_default(),
            },
        };
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(invocation: Option<&str>) -> Record {
        Record { digest: "d".into(), invocation: invocation.map(str::to_owned), fixed: None }
    }

    #[test]
    fn an_unrecorded_invocation_is_judged_by_what_changed_after_its_start() {
        let judged =
            |invocation, digest: &str, changed| judge(Some(&record(invocation)), digest, "now", || changed);
        assert_eq!(judged(Some("now"), "d", true), Running::AsRecorded);
        assert_eq!(judged(Some("before"), "d", false), Running::Restarted);
        assert_eq!(judged(Some("before"), "d", true), Running::Other);
        for changed in [true, false] {
            assert_eq!(judged(Some("now"), "other bytes", changed), Running::Other);
            assert_eq!(judge(None, "d", "now", || changed), Running::Other);
        }
    }

    #[test]
    fn a_record_of_an_earlier_version_has_a_digest_and_an_unknown_invocation() {
        assert_eq!(Record::parse(b"d"), record(None));
        assert_eq!(Record::parse(b"d\ni\n"), record(Some("i")));
        assert_eq!(judge(Some(&record(None)), "d", "now", || false), Running::Restarted);
        assert_eq!(judge(Some(&record(None)), "d", "now", || true), Running::Other);
        let reloadable = Record { fixed: Some("f".into()), ..record(Some("i")) };
        for written in [record(Some("i")), record(None), reloadable] {
            assert_eq!(Record::parse(written.text().as_bytes()), written);
        }
    }
}
