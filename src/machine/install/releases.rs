//! Finishes, checks, discards and prunes releases; installs the agent. A release counts as finished by a record of
//! root's, which the build user cannot write.

use std::path::{Path, PathBuf};

use crate::error::{Code, Coded, Error, Result};
use crate::machine::Check;
use crate::machine::disk::files;
use crate::machine::disk::path_at::finished_name;
use crate::machine::jail::unit::own_program;
use crate::plan::{Mode, Owner, Prune};

/// Flushes a release to disk and records that it is finished, and what it uses, which must stay as long as it does.
///
/// A flush cannot be stopped. It may end long after the step timed out, while the recovery discards the release. So the
/// record is written, and kept, only if the release's name still belongs to the directory that was flushed.
pub fn finish(release: &Path, record: &Path, uses: &[PathBuf]) -> Result<()> {
    let flushed = files::directory_id(release)?;
    files::flush(release)?;
    let still_there = || Ok(flushed.is_some() && files::directory_id(release)? == flushed);
    let doing = || format!("finishing {}", release.display());
    let gone = || Error::new(Code::Cancelled, doing(), "it was discarded meanwhile");
    if !still_there()? {
        return Err(gone());
    }
    let uses: String = uses.iter().map(|path| format!("{}\n", path.display())).collect();
    files::write(record, uses.as_bytes(), &Owner::root(), Mode(0o600))?;
    // `discard` removes the name first and the record second, so either it or this function removes the record.
    match still_there()? {
        true => Ok(()),
        false => files::remove_file(record).and(Err(gone())),
    }
}

/// Whether a release is whole and its record names all that it uses: another supervisor may need more than the one for
/// which it was built.
pub fn check_finished(release: &Path, record: &Path, uses: &[PathBuf]) -> Result<Check> {
    if !is_whole(release, record)? {
        return Ok(Check::WouldChange("not done yet".into()));
    }
    let text = files::read(record)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_named = |path: &PathBuf| text.lines().any(|line| Path::new(line) == path);
    Ok(match uses.iter().find(|path| !is_named(path)) {
        Some(path) => Check::WouldChange(format!("its record lacks {}", path.display())),
        None => Check::AlreadySo,
    })
}

/// Whether there is an unfinished release to discard.
pub fn check_unfinished(release: &Path, record: &Path) -> Result<Check> {
    let unfinished = files::exists_or_left(release)? && !is_whole(release, record)?;
    Ok(if unfinished { Check::WouldChange("unfinished".into()) } else { Check::AlreadySo })
}

/// Whether a release is whole: its directory exists, and root's record says that it was finished.
pub fn is_whole(release: &Path, record: &Path) -> Result<bool> {
    Ok(files::exists(record)? && files::exists(release)?)
}

/// The check of a step that works on a release, and is done once the release has its record.
pub fn check_whole(release: &Path, record: &Path) -> Result<Check> {
    Ok(if is_whole(release, record)? { Check::AlreadySo } else { Check::WouldChange("not done yet".into()) })
}

/// Removes first the name, then the records, then the tree: a half-removed release must not count as whole.
pub fn discard(release: &Path, records: &[PathBuf]) -> Result<()> {
    files::put_aside(release)?;
    records.iter().try_for_each(|record| files::remove_file(record))?;
    files::remove_tree(release)
}

pub fn check_prune(prune: &Prune) -> Result<Check> {
    let surplus = surplus(prune)?;
    Ok(if surplus.is_empty() {
        Check::AlreadySo
    } else {
        Check::WouldChange(format!("{} to remove", surplus.len()))
    })
}

/// Removes all releases and records that `prune.keep` does not name.
pub fn prune(prune: &Prune) -> Result<()> {
    for name in surplus(prune)? {
        let release = prune.releases.join(&name);
        let records: Vec<PathBuf> = prune.records.iter().map(|records| records.join(&name)).collect();
        match finished_name(&name) {
            // An unfinished name, left by a killed run. The release of the final name may be one to keep.
            Some(_) => records.iter().chain([&release]).try_for_each(|left| files::remove_left(left))?,
            None => discard(&release, &records)?,
        }
    }
    Ok(())
}

fn surplus(prune: &Prune) -> Result<Vec<String>> {
    let mut names = files::names(&prune.releases)?;
    for records in &prune.records {
        names.extend(files::names(records)?);
    }
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !prune.keep.contains(name));
    Ok(names)
}

fn own_bytes() -> Result<(PathBuf, Vec<u8>)> {
    let program = own_program()?;
    let bytes = std::fs::read(&program).doing(|| format!("reading {}", program.display()))?;
    Ok((program, bytes))
}

/// Whether the running program is installed at `path`.
pub fn check_agent(path: &Path) -> Result<Check> {
    let (program, bytes) = own_bytes()?;
    if program == path {
        return Ok(Check::AlreadySo);
    }
    match std::fs::read(path) {
        Ok(there) if there == bytes => Ok(Check::AlreadySo),
        Ok(_) => Ok(Check::WouldChange("another version".into())),
        Err(_) => Ok(Check::WouldChange("absent".into())),
    }
}

pub fn install_agent(path: &Path) -> Result<()> {
    let (_, bytes) = own_bytes()?;
    files::write(path, &bytes, &Owner::root(), Mode(0o755))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn is_root() -> bool {
        nix::unistd::geteuid().is_root()
    }

    /// A release of so many files, and the path of its record.
    fn stage(files: usize) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let (release, records) = (scratch.path().join("releases/one"), scratch.path().join("records"));
        fs::create_dir_all(&release).unwrap();
        fs::create_dir_all(&records).unwrap();
        (0..files).for_each(|number| fs::write(release.join(number.to_string()), "x").unwrap());
        (scratch, release, records.join("one"))
    }

    #[test]
    fn an_existing_release_is_finished_and_a_discarded_one_is_not() {
        if !is_root() {
            return;
        }
        let (_scratch, release, record) = stage(3);
        finish(&release, &record, &["/opt/node".into()]).unwrap();
        assert_eq!(fs::read_to_string(&record).unwrap(), "/opt/node\n");
        assert!(is_whole(&release, &record).unwrap());
        let check = |uses: &[&str]| {
            let uses: Vec<PathBuf> = uses.iter().map(PathBuf::from).collect();
            check_finished(&release, &record, &uses).unwrap()
        };
        assert_eq!((check(&["/opt/node"]), check(&[])), (Check::AlreadySo, Check::AlreadySo));
        assert_eq!(check(&["/opt/node", "/opt/pm2"]), Check::WouldChange("its record lacks /opt/pm2".into()));
        assert_eq!(check_unfinished(&release, &record).unwrap(), Check::AlreadySo);
        discard(&release, std::slice::from_ref(&record)).unwrap();
        assert!(!release.exists() && !record.exists());
        finish(&release, &record, &[]).unwrap_err();
        assert!(!record.exists());
    }

    /// The flush of a step that timed out ends at some moment of the recovery.
    #[test]
    fn a_flush_that_ends_late_does_not_record_a_discarded_release() {
        if !is_root() {
            return;
        }
        for round in 0..200 {
            let (_scratch, release, record) = stage(1);
            thread::scope(|scope| {
                scope.spawn(|| finish(&release, &record, &[]));
                thread::sleep(Duration::from_micros(round * 10));
                discard(&release, std::slice::from_ref(&record)).unwrap();
            });
            assert!(!release.exists() && !record.exists(), "in round {round}");
        }
    }

    #[test]
    fn a_release_loses_its_name_before_it_is_removed() {
        let (_scratch, release, _) = stage(3000);
        let some = || (0..3000).step_by(100).any(|number| !release.join(number.to_string()).exists());
        thread::scope(|scope| {
            let removing = scope.spawn(|| files::remove_tree(&release));
            while !some() {}
            assert!(!release.exists(), "it is half removed, and counts as whole");
            removing.join().unwrap().unwrap();
        });
    }

    #[test]
    fn what_a_killed_run_left_is_pruned_and_the_release_beside_it_stays() {
        let (_scratch, release, record) = stage(1);
        let releases = release.parent().unwrap().to_owned();
        let prune_it = |keep: &[&str]| Prune {
            releases: releases.clone(),
            records: vec![record.parent().unwrap().to_owned()],
            keep: keep.iter().map(|name| (*name).to_owned()).collect(),
        };
        fs::create_dir_all(releases.join(".one.bootagent/src")).unwrap();
        fs::write(record.with_file_name(".one.bootagent"), "").unwrap();
        fs::write(&record, "").unwrap();
        assert_ne!(check_prune(&prune_it(&["one"])).unwrap(), Check::AlreadySo);
        prune(&prune_it(&["one"])).unwrap();
        assert!(release.join("0").exists() && record.exists());
        assert_eq!(check_prune(&prune_it(&["one"])).unwrap(), Check::AlreadySo);
        prune(&prune_it(&[])).unwrap();
        assert!(!release.exists() && !record.exists());

        fs::create_dir_all(releases.join(".one.bootagent")).unwrap();
        assert_ne!(check_unfinished(&release, &record).unwrap(), Check::AlreadySo);
        discard(&release, std::slice::from_ref(&record)).unwrap();
        assert_eq!(check_unfinished(&release, &record).unwrap(), Check::AlreadySo);
        assert_eq!(fs::read_dir(&releases).unwrap().count(), 0);
    }
}
