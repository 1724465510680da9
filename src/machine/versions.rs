//! Which version each installed program has printed. A run that finds the same file does not start the program again: that costs ten
//! milliseconds of a processor for each.
//!
//! Only compiled programs of the asked name are remembered. A script, or a launcher of another name, may start another version
//! without a change of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::machine::disk::files;
use crate::machine::disk::same_file::SameFile;
use crate::plan::{Mode, Owner};

/// Only root can read or write it.
const FILE: &str = "/var/lib/bootagent/versions.json";
const ELF: [u8; 4] = *b"\x7fELF";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    file: SameFile,
    version: String,
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
        let Some(file) = compiled(program, names) else { return ask().await };
        let known = self.known(program).filter(|known| known.file == file);
        let version = match known {
            Some(known) => known.version,
            None => ask().await?,
        };
        self.seen.borrow_mut().insert(program.to_owned(), Seen { file, version: version.clone() });
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

/// Of a compiled program of one of these names. Read before the program is asked.
fn compiled(program: &Path, names: &[&str]) -> Option<SameFile> {
    let is_named = |name: &OsStr| names.iter().any(|known| name == OsStr::new(known));
    program.file_name().filter(|name| is_named(name))?;
    let mut file = File::open(program).ok()?;
    let mut first = [0; 4];
    file.read_exact(&mut first).ok().filter(|()| first == ELF)?;
    SameFile::of(&file.metadata().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of a program, and whether it was asked, if the record says that `recorded` has version 1.
    async fn asked(program: &Path, names: &[&str], recorded: &Path) -> (Option<String>, bool) {
        let file = SameFile::of(&recorded.metadata().unwrap());
        let seen = file.map(|file| (program.to_owned(), Seen { file, version: "1".to_owned() }));
        let versions = Versions::default();
        *versions.recorded.borrow_mut() = Some(seen.into_iter().collect());
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
        let program = Path::new("/bin/sh").canonicalize().unwrap();
        let name = program.file_name().unwrap().to_str().unwrap();
        assert_eq!(asked(&program, &[name], &program).await, (Some("1".to_owned()), false));
        let told = (Some("2".to_owned()), true);
        assert_eq!(asked(&program, &[name], Path::new("/bin/ls")).await, told);
        assert_eq!(asked(&program, &["node"], &program).await, told, "a launcher of another name");
    }

    #[tokio::test]
    async fn scripts_and_files_that_changed_just_now_are_asked_each_time() {
        let scratch = tempfile::tempdir().unwrap();
        for content in [b"#!/bin/sh\nexec /opt/node \"$@\"\n".as_slice(), b"\x7fELF and more"] {
            let program = scratch.path().join("node");
            std::fs::write(&program, content).unwrap();
            assert_eq!(asked(&program, &["node"], &program).await, (Some("2".to_owned()), true));
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
