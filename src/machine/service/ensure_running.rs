//! What runs is what is wanted: compared by the bytes from which the running unit was started, and by which of its
//! invocations that was. It starts and restarts the unit, and changes nothing else.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::start;
use crate::error::Result;
use crate::machine::disk::files;
use crate::machine::process::units::{self, UnitState};
use crate::machine::{Change, Check};
use crate::plan::{EnsureRunning, Mode, Owner, layout};

const OTHER: &str = "runs something else";

/// What is noted of the last start: from which bytes, and as which invocation of the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    digest: String,
    /// Absent in the records of earlier versions: that one is unknown.
    invocation: Option<String>,
    /// Of what a reload does not take up. Absent in the records of earlier versions, too.
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

/// How what runs stands to what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Running {
    /// Started from what is there now, by us.
    Ours,
    /// Another invocation than the one that is noted, a crash's or an operator's, from what is there now.
    Again,
    /// Started from something else, or it is not known from what.
    Other,
}

/// Another invocation than the noted one read its files when it started: one that changed after that is not what it
/// read, even if its bytes are right again by now.
fn judge(
    record: Option<&Record>,
    digest: &str,
    invocation: &str,
    changed_since: impl FnOnce() -> bool,
) -> Running {
    match record {
        Some(record) if record.digest == digest => match &record.invocation {
            Some(noted) if noted == invocation => Running::Ours,
            _ if changed_since() => Running::Other,
            _ => Running::Again,
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
        Running::Ours | Running::Again => Check::AlreadySo,
        Running::Other => Check::WouldChange(match changed_by_hand(ensure).await? {
            Some(how) => format!("{OTHER}: {how}"),
            None => OTHER.into(),
        }),
    })
}

/// Whether what runs is not what the last run started, or no longer stands on what it was started from: an operator
/// changed the environment, the unit or the link, or restarted the service from others. `None` while what runs is what
/// the record says; where nothing runs; and where nothing is noted, so that there is nothing to compare. (A run that was
/// killed before its restart leaves the same picture.)
pub async fn changed_by_hand(ensure: &EnsureRunning) -> Result<Option<String>> {
    let state = units::state(&ensure.unit).await?;
    let Some(noted) = files::changed(&ensure.record)? else { return Ok(None) };
    if !state.is_active() || running(ensure, &state).await? != Running::Other {
        return Ok(None);
    }
    let newer: Vec<String> =
        changed_after(ensure, noted)?.iter().map(|path| path.display().to_string()).collect();
    Ok(Some(match newer.is_empty() {
        true => "it was not started from the files that are there".to_owned(),
        false => format!("{} changed after bootagent started it", newer.join(", ")),
    }))
}

pub async fn hand_over(ensure: &EnsureRunning) -> Result<Change> {
    let state = units::state(&ensure.unit).await?;
    if state.is_active() {
        match running(ensure, &state).await? {
            Running::Ours => return Ok(Change::Unchanged),
            Running::Again => {
                note(ensure, Digests::now(ensure)?, state.invocation)?;
                return Ok(Change::Unchanged);
            }
            Running::Other if may_reload(ensure, &state)? => return reload(ensure, state).await,
            Running::Other => {}
        }
    }
    // Of before the start: what changes meanwhile is not what runs.
    let digests = Digests::now(ensure)?;
    // Between the two it is unknown what runs: a run that is killed there restarts once more, also when it
    // wants what was noted before.
    files::remove_file(&ensure.record)?;
    start::restart(&ensure.unit).await?;
    note(ensure, digests, units::state(&ensure.unit).await?.invocation)?;
    Ok(Change::Changed(format!("{} started", ensure.unit)))
}

/// Whether what runs was started by us, and nothing but what a reload takes up has changed since.
fn may_reload(ensure: &EnsureRunning, state: &UnitState) -> Result<bool> {
    let Some(record) = files::read(&ensure.record)?.map(|bytes| Record::parse(&bytes)) else {
        return Ok(false);
    };
    let is_ours = record.invocation.as_ref() == Some(&state.invocation);
    Ok(!ensure.reloads.is_empty() && is_ours && record.fixed == Some(Digests::now(ensure)?.fixed))
}

/// The same invocation of the unit goes on with other processes within: it passes its health check anew.
async fn reload(ensure: &EnsureRunning, state: UnitState) -> Result<Change> {
    let digests = Digests::now(ensure)?;
    files::remove_file(&ensure.record)?;
    files::remove_file(&layout::passed(&ensure.unit))?;
    start::reload(&ensure.unit).await?;
    note(ensure, digests, state.invocation)?;
    Ok(Change::Changed(format!("{} reloaded", ensure.unit)))
}

fn note(ensure: &EnsureRunning, digests: Digests, invocation: String) -> Result<()> {
    let record = Record { digest: digests.all, invocation: Some(invocation), fixed: Some(digests.fixed) };
    files::write(&ensure.record, record.text().as_bytes(), &Owner::root(), Mode(0o600))
}

async fn running(ensure: &EnsureRunning, state: &UnitState) -> Result<Running> {
    let record = files::read(&ensure.record)?.map(|bytes| Record::parse(&bytes));
    let digest = Digests::now(ensure)?.all;
    let is_known = record.as_ref().is_some_and(|record| {
        record.digest != digest || record.invocation.as_ref() == Some(&state.invocation)
    });
    // Only another invocation makes it worth asking systemd once more.
    let started = if is_known || record.is_none() { None } else { units::started(&ensure.unit).await? };
    let changed = match started {
        Some(started) => !changed_after(ensure, started)?.is_empty(),
        None => true,
    };
    Ok(judge(record.as_ref(), &digest, &state.invocation, || changed))
}

/// The inputs that were changed after a moment, in microseconds since 1970. The time of change of an inode can only be
/// set by changing it, so that `mv` and `touch` do not hide one.
fn changed_after(ensure: &EnsureRunning, moment: u64) -> Result<Vec<&Path>> {
    let mut newer = Vec::new();
    for input in &ensure.inputs {
        // A directory changes whenever the service writes into it: which one it is, is in the digest.
        let is_directory = files::which_directory(input)?.is_some();
        if !is_directory && files::changed(input)?.is_some_and(|changed| changed > moment) {
            newer.push(input.as_path());
        }
    }
    Ok(newer)
}

/// Of all that makes up what runs, and of what a reload does not take up.
struct Digests {
    all: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(invocation: Option<&str>) -> Record {
        Record { digest: "d".into(), invocation: invocation.map(str::to_owned), fixed: None }
    }

    #[test]
    fn another_invocation_counts_by_what_changed_after_its_start() {
        let judged =
            |invocation, digest: &str, changed| judge(Some(&record(invocation)), digest, "now", || changed);
        assert_eq!(judged(Some("now"), "d", true), Running::Ours);
        assert_eq!(judged(Some("before"), "d", false), Running::Again);
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
        assert_eq!(judge(Some(&record(None)), "d", "now", || false), Running::Again);
        assert_eq!(judge(Some(&record(None)), "d", "now", || true), Running::Other);
        let reloadable = Record { fixed: Some("f".into()), ..record(Some("i")) };
        for written in [record(Some("i")), record(None), reloadable] {
            assert_eq!(Record::parse(written.text().as_bytes()), written);
        }
    }
}
