//! Sets a healthy release aside while it is built once more, and brings it back if the build fails.

use std::path::PathBuf;

use super::releases;
use crate::error::Result;
use crate::machine::Check;
use crate::machine::disk::files;
use crate::plan::Aside;

/// The name of the record while the release is set aside: that of the tree.
fn aside_record(aside: &Aside) -> PathBuf {
    aside.record.with_file_name(aside.aside.file_name().unwrap_or_default())
}

pub fn check_set(aside: &Aside) -> Result<Check> {
    let was_begun = releases::is_whole(&aside.aside, &aside.record)?;
    Ok(match was_begun || files::exists(&aside.release)? {
        true => Check::WouldChange("present".into()),
        false => Check::AlreadySo,
    })
}

/// Renames the tree first: a record without a tree has no effect, while a tree without its record would be removed as
/// unfinished. After a kill in between, both this function and `bring_back` complete what was begun.
pub fn set(aside: &Aside) -> Result<()> {
    if files::exists(&aside.release)? {
        files::remove_tree(&aside.aside)?;
        files::rename(&aside.release, &aside.aside)?;
    }
    files::rename(&aside.record, &aside_record(aside))
}

/// To bring back only if the release was whole before, and was not built again.
pub fn check_back(aside: &Aside) -> Result<Check> {
    let was_whole = releases::is_whole(&aside.aside, &aside_record(aside))?
        || releases::is_whole(&aside.aside, &aside.record)?;
    let is_due = was_whole && !releases::is_whole(&aside.release, &aside.record)?;
    Ok(if is_due { Check::WouldChange("set aside".into()) } else { Check::AlreadySo })
}

/// Renames the tree last, for the same reason.
pub fn bring_back(aside: &Aside) -> Result<()> {
    if files::exists(&aside_record(aside))? {
        releases::discard(&aside.release, std::slice::from_ref(&aside.record))?;
        files::rename(&aside_record(aside), &aside.record)?;
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
    fn a_release_comes_back_with_its_record() {
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
    fn after_a_kill_in_between_both_directions_are_completed() {
        let whole = |aside: &Aside| {
            fs::read_to_string(aside.release.join("file")).unwrap() == "old"
                && fs::read_to_string(&aside.record).unwrap() == "/opt/node\n"
        };
        let killed = || {
            let (scratch, aside) = stage();
            fs::rename(&aside.release, &aside.aside).unwrap();
            assert!(!releases::is_whole(&aside.release, &aside.record).unwrap(), "it counts as whole");
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
    fn a_release_that_was_built_in_its_place_stays() {
        let (_scratch, aside) = stage();
        set(&aside).unwrap();
        fs::create_dir(&aside.release).unwrap();
        fs::write(&aside.record, "").unwrap();
        assert_eq!(check_back(&aside).unwrap(), Check::AlreadySo);
    }

    #[test]
    fn without_a_release_aside_nothing_comes_back() {
        let (_scratch, aside) = stage();
        assert_eq!(check_back(&aside).unwrap(), Check::AlreadySo);
        fs::remove_dir_all(&aside.release).unwrap();
        assert_eq!(check_back(&aside).unwrap(), Check::AlreadySo);
        assert_eq!(check_set(&aside).unwrap(), Check::AlreadySo);
    }
}
