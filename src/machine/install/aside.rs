//! A release that passed before is set aside while it is built once more, and comes back if it cannot be.

use std::path::PathBuf;

use super::releases;
use crate::error::Result;
use crate::machine::Check;
use crate::machine::disk::files;
use crate::plan::Aside;

/// Its record, under the name that goes with the tree's.
fn record(aside: &Aside) -> PathBuf {
    aside.record.with_file_name(aside.aside.file_name().unwrap_or_default())
}

pub fn check_set(aside: &Aside) -> Result<Check> {
    let was_begun = releases::is_whole(&aside.aside, &aside.record)?;
    Ok(match was_begun || files::exists(&aside.release)? {
        true => Check::WouldChange("there".into()),
        false => Check::AlreadySo,
    })
}

/// The tree first: a record of what is gone says nothing, while a tree without its record would be removed as
/// unfinished. A run that is killed in between is gone on with, in either direction.
pub fn set(aside: &Aside) -> Result<()> {
    if files::exists(&aside.release)? {
        files::remove_tree(&aside.aside)?;
        files::rename(&aside.release, &aside.aside)?;
    }
    files::rename(&aside.record, &record(aside))
}

pub fn check_back(aside: &Aside) -> Result<Check> {
    let was_whole =
        releases::is_whole(&aside.aside, &record(aside))? || releases::is_whole(&aside.aside, &aside.record)?;
    let is_due = was_whole && !releases::is_whole(&aside.release, &aside.record)?;
    Ok(if is_due { Check::WouldChange("aside".into()) } else { Check::AlreadySo })
}

/// The tree last, for the same reason.
pub fn bring_back(aside: &Aside) -> Result<()> {
    if files::exists(&record(aside))? {
        releases::discard(&aside.release, std::slice::from_ref(&aside.record))?;
        files::rename(&record(aside), &aside.record)?;
    }
    files::rename(&aside.aside, &aside.release)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stage() -> (tempfile::TempDir, Aside) {
        let scratch = tempfile::tempdir().unwrap();
        let (releases, records) = (scratch.path().join("releases"), scratch.path().join("records"));
        fs::create_dir_all(releases.join("one")).unwrap();
        fs::create_dir_all(&records).unwrap();
        fs::write(releases.join("one/file"), "old").unwrap();
        fs::write(records.join("one"), "/opt/node\n").unwrap();
        let aside = Aside {
            release: releases.join("one"),
            record: records.join("one"),
            aside: releases.join("one.aside"),
        };
        (scratch, aside)
    }

    #[test]
    fn what_is_set_aside_comes_back_with_its_record() {
        let (_scratch, aside) = stage();
        set(&aside).unwrap();
        assert!(!aside.release.exists() && !aside.record.exists());
        fs::create_dir(&aside.release).unwrap();
        fs::write(aside.release.join("half"), "new").unwrap();
        assert_ne!(check_back(&aside).unwrap(), Check::AlreadySo);
        bring_back(&aside).unwrap();
        assert_eq!(fs::read_to_string(aside.release.join("file")).unwrap(), "old");
        assert_eq!(fs::read_to_string(&aside.record).unwrap(), "/opt/node\n");
        assert!(!aside.aside.exists() && !aside.release.join("half").exists());
        assert_eq!(check_back(&aside).unwrap(), Check::AlreadySo);
    }

    #[test]
    fn a_run_that_is_killed_in_between_is_gone_on_with_in_either_direction() {
        let whole = |aside: &Aside| {
            fs::read_to_string(aside.release.join("file")).unwrap() == "old"
                && fs::read_to_string(&aside.record).unwrap() == "/opt/node\n"
        };
        let killed = || {
            let (scratch, aside) = stage();
            fs::rename(&aside.release, &aside.aside).unwrap();
            assert!(!releases::is_whole(&aside.release, &aside.record).unwrap(), "it is taken for whole");
            (scratch, aside)
        };
        let (_scratch, aside) = killed();
        assert_ne!(check_back(&aside).unwrap(), Check::AlreadySo);
        bring_back(&aside).unwrap();
        assert!(whole(&aside));
        let (_scratch, aside) = killed();
        assert_ne!(check_set(&aside).unwrap(), Check::AlreadySo);
        set(&aside).unwrap();
        assert!(!aside.record.exists() && check_set(&aside).unwrap() == Check::AlreadySo);
        bring_back(&aside).unwrap();
        assert!(whole(&aside));
    }

    #[test]
    fn what_was_built_in_its_place_stays() {
        let (_scratch, aside) = stage();
        set(&aside).unwrap();
        fs::create_dir(&aside.release).unwrap();
        fs::write(&aside.record, "").unwrap();
        assert_eq!(check_back(&aside).unwrap(), Check::AlreadySo);
    }

    #[test]
    fn where_nothing_is_aside_nothing_comes_back() {
        let (_scratch, aside) = stage();
        assert_eq!(check_back(&aside).unwrap(), Check::AlreadySo);
        fs::remove_dir_all(&aside.release).unwrap();
        assert_eq!(check_back(&aside).unwrap(), Check::AlreadySo);
        assert_eq!(check_set(&aside).unwrap(), Check::AlreadySo);
    }
}
