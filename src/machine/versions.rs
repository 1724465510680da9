//! Which version each installed program has printed. A run that finds the same file does not start the program again: that costs ten
//! milliseconds of a processor for each.
//!
//! A file is the same if its inode, size, mtime and ctime are: on a writable file system, only who can set the machine's clock can
//! change a file and keep its ctime. Only compiled programs of the asked name are remembered. A script, or a launcher of another
//! name, may start another version without a change of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::machine::disk::files;
use crate::machine::now;
use crate::plan::{Mode, Owner};

/// Only root can read or write it.
const FILE: &str = "/var/lib/bootagent/versions.json";
/// In seconds. A file that changed just now could change again within the same tick of its clock.
const SETTLED: i64 = 2;
const ELF: [u8; 4] = *b"\x7fELF";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    inode: u64,
    size: u64,
    /// In seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
    version: String,
}

impl Seen {
    fn of(data: &Metadata, version: String) -> Seen {
        Seen {
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
            version,
        }
    }
}

type Programs = BTreeMap<PathBuf, Seen>;

/// What earlier runs recorded, and what this one saw.
#[derive(Default)]
pub struct Versions {
    recorded: RefCell<Option<Programs>>,
    seen: RefCell<Programs>,
}

impl Versions {
    /// The version of a program, which `ask` learns from the program itself if it is not known. Only root can have replaced
    /// `program`; `names` are those under which it prints its own version.
    pub async fn of(
        &self,
        program: &Path,
        names: &[&str],
        ask: impl AsyncFnOnce() -> Option<String>,
    ) -> Option<String> {
        let Some(data) = same_while_unchanged(program, names) else { return ask().await };
        let known = self.known(program).filter(|known| *known == Seen::of(&data, known.version.clone()));
        let version = match known {
            Some(known) => known.version,
            None => ask().await?,
        };
        self.seen.borrow_mut().insert(program.to_owned(), Seen::of(&data, version.clone()));
        Some(version)
    }

    /// Nothing is known if the record is absent, damaged, or cannot be read by this user.
    fn known(&self, program: &Path) -> Option<Seen> {
        let mut recorded = self.recorded.borrow_mut();
        let recorded = recorded.get_or_insert_with(|| {
            let text = files::read(Path::new(FILE)).ok().flatten();
            text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
        });
        recorded.get(program).cloned()
    }

    /// Records what this run saw, unless that is recorded already.
    pub fn write(&self) -> Result<()> {
        let seen = self.seen.borrow();
        if self.recorded.borrow().as_ref().is_none_or(|recorded| *recorded == *seen) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&*seen)
            .map_err(|error| Error::new(Code::Bug, format!("writing {FILE}"), error))?;
        files::write(Path::new(FILE), &text, &Owner::root(), Mode(0o600))
    }
}

/// Of a compiled program of one of these names that did not change just now. Read before the program is asked.
fn same_while_unchanged(program: &Path, names: &[&str]) -> Option<Metadata> {
    let is_named = |name: &OsStr| names.iter().any(|known| name == OsStr::new(known));
    program.file_name().filter(|name| is_named(name))?;
    let mut file = File::open(program).ok()?;
    let mut first = [0; 4];
    file.read_exact(&mut first).ok().filter(|()| first == ELF)?;
    let data = file.metadata().ok()?;
    let age = i64::try_from(now()).ok()?.checked_sub(data.ctime())?;
    (data.is_file() && age > SETTLED).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of a program, and whether it was asked, if the record says that it has version 1.
    async fn asked(program: &Path, names: &[&str], record: impl FnOnce(&mut Seen)) -> (Option<String>, bool) {
        let data = program.metadata().unwrap();
        let mut seen = Seen::of(&data, "1".to_owned());
        record(&mut seen);
        let versions = Versions::default();
        *versions.recorded.borrow_mut() = Some([(program.to_owned(), seen)].into());
        let mut was_asked = false;
        let version = versions
            .of(program, names, async || {
                was_asked = true;
                Some("2".to_owned())
            })
            .await;
        (version, was_asked)
    }

    #[tokio::test]
    async fn a_file_that_is_the_same_is_not_asked_again_and_any_other_is() {
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().unwrap().to_str().unwrap();
        if now() as i64 - own.metadata().unwrap().ctime() <= SETTLED {
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        }
        let (known, told) = ((Some("1".to_owned()), false), (Some("2".to_owned()), true));
        assert_eq!(asked(&own, &[name], |_| ()).await, known);
        let changes: [fn(&mut Seen); 4] = [
            |seen| seen.inode += 1,
            |seen| seen.size += 1,
            |seen| seen.modified.1 += 1,
            |seen| seen.changed.1 += 1,
        ];
        for change in changes {
            assert_eq!(asked(&own, &[name], change).await, told);
        }
        assert_eq!(asked(&own, &["node"], |_| ()).await, told, "a launcher of another name");
    }

    #[tokio::test]
    async fn scripts_and_files_that_changed_just_now_are_asked_each_time() {
        let scratch = tempfile::tempdir().unwrap();
        for content in [b"#!/bin/sh\nexec /opt/node \"$@\"\n".as_slice(), b"\x7fELF and more"] {
            let program = scratch.path().join("node");
            std::fs::write(&program, content).unwrap();
            assert_eq!(asked(&program, &["node"], |_| ()).await, (Some("2".to_owned()), true));
        }
    }

    #[test]
    fn what_is_recorded_already_is_not_written() {
        // Nothing was looked up, or the same: a write would fail without root, and replace the machine's record with it.
        assert!(Versions::default().write().is_ok());
        let same = Versions { recorded: RefCell::new(Some(Programs::new())), seen: RefCell::default() };
        assert!(same.write().is_ok());
    }
}
