//! Files that decide what root does: read only if nobody but root, or whoever runs this, can change them.

use std::ffi::OsString;
use std::fs::{File, Metadata, read_link, symlink_metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};

/// As many as the kernel follows.
const MOST_LINKS: u32 = 40;

/// The content of a file of ours; `None` if it is absent. The cause of an error names what others could change.
pub fn read(path: &Path, longest: u64) -> Result<Option<Vec<u8>>, String> {
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    // Whoever could change it between the walk and the opening is trusted.
    let Some(real) = settled(path)? else { return Ok(None) };
    if !symlink_metadata(&real).map_err(said)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let mut content = Vec::new();
    File::open(real).map_err(said)?.take(longest + 1).read_to_end(&mut content).map_err(said)?;
    match content.len() as u64 > longest {
        true => Err(format!("{} is over {longest} bytes", path.display())),
        false => Ok(Some(content)),
    }
}

/// What a path stands for, every directory and link on the way being ours.
fn settled(path: &Path) -> Result<Option<PathBuf>, String> {
    let mut at = PathBuf::new();
    let mut rest = backwards(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        let data = match symlink_metadata(&at) {
            Ok(data) => data,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", at.display())),
        };
        refuse_foreign(&at, &data)?;
        if data.is_symlink() {
            links += 1;
            let to = read_link(&at).map_err(|error| format!("{}: {error}", at.display()))?;
            if links > MOST_LINKS {
                return Err(format!("{} has too many symbolic links on its way", path.display()));
            }
            at.pop();
            rest.extend(backwards(&to));
        }
    }
    Ok(Some(at))
}

fn backwards(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|component| component.as_os_str().to_owned()).collect()
}

fn refuse_foreign(path: &Path, data: &Metadata) -> Result<(), String> {
    let owner = Uid::from_raw(data.uid());
    // Of a sticky directory others change nothing that is not theirs; a link's own mode says nothing.
    let sticky = data.is_dir() && data.mode() & 0o1000 != 0;
    let open = data.mode() & 0o022 != 0 && !sticky && !data.is_symlink();
    if !open && (owner.is_root() || owner == geteuid()) {
        return Ok(());
    }
    let name = User::from_uid(owner).ok().flatten().map_or(format!("uid {owner}"), |user| user.name);
    let mode = data.mode() & 0o7777;
    Err(format!("others than root can change {} (mode {mode:04o}, owner {name})", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::*;

    /// A directory with `policy.toml` in it, after `made` had its way with it.
    fn found(made: impl FnOnce(&Path)) -> Result<Option<String>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("etc");
        create_dir(&directory).unwrap();
        set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        write(directory.join("policy.toml"), "ours").unwrap();
        set_permissions(directory.join("policy.toml"), Permissions::from_mode(0o644)).unwrap();
        made(&directory);
        let content = read(&directory.join("policy.toml"), 100)?;
        Ok(content.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// `policy.toml` becomes a link to what stands elsewhere, which is ours as well.
    fn linked(directory: &Path, to: &str) {
        let file = directory.join("policy.toml");
        std::fs::rename(&file, directory.join("real.toml")).unwrap();
        symlink(to, file).unwrap();
    }

    #[test]
    fn what_is_ours_is_read() {
        let ours = Ok(Some("ours".to_owned()));
        assert_eq!(found(|_| ()), ours);
        assert_eq!(found(|etc| mode(&etc.join("policy.toml"), 0o600)), ours);
        assert_eq!(found(|etc| linked(etc, "real.toml")), ours);
        assert_eq!(found(|etc| linked(etc, "../etc/./real.toml")), ours);
        assert_eq!(found(|etc| mode(etc, 0o1777)), ours);
        assert_eq!(found(|etc| std::fs::remove_file(etc.join("policy.toml")).unwrap()), Ok(None));
        assert_eq!(found(|etc| linked(etc, "absent")), Ok(None));
    }

    #[test]
    fn what_others_can_write_is_refused_by_path_and_mode() {
        for bits in [0o666, 0o664, 0o646] {
            let cause = found(|etc| mode(&etc.join("policy.toml"), bits)).unwrap_err();
            assert!(cause.contains("policy.toml (mode 0") && cause.contains(&format!("{bits:o}")), "{cause}");
        }
        for bits in [0o777, 0o775] {
            let cause = found(|etc| mode(etc, bits)).unwrap_err();
            assert!(cause.contains(&format!("etc (mode 0{bits:o}")), "{cause}");
        }
    }

    #[test]
    fn a_link_leads_nowhere_that_others_can_write() {
        let elsewhere = tempfile::tempdir().unwrap();
        write(elsewhere.path().join("policy.toml"), "theirs").unwrap();
        mode(elsewhere.path(), 0o777);
        let path = elsewhere.path().join("policy.toml").display().to_string();
        let cause = found(|etc| linked(etc, &path)).unwrap_err();
        assert!(cause.contains("(mode 0777"), "{cause}");
        let cause = found(|etc| linked(etc, "policy.toml")).unwrap_err();
        assert!(cause.contains("too many symbolic links"), "{cause}");
    }

    #[test]
    fn what_belongs_to_another_user_is_refused_by_its_owner() {
        if !geteuid().is_root() {
            return;
        }
        let file = found(|etc| chown(etc.join("policy.toml"), Some(1), None).unwrap());
        let directory = found(|etc| chown(etc, Some(12345), None).unwrap());
        let link = found(|etc| {
            linked(etc, "real.toml");
            lchown(etc.join("policy.toml"), Some(1), None).unwrap();
        });
        for (cause, says) in [(file, "owner daemon"), (directory, "owner uid 12345"), (link, "owner daemon")]
        {
            let cause = cause.unwrap_err();
            assert!(cause.contains(says), "{cause}");
        }
    }

    #[test]
    fn what_is_no_short_file_is_refused() {
        let directory = found(|etc| {
            std::fs::remove_file(etc.join("policy.toml")).unwrap();
            create_dir(etc.join("policy.toml")).unwrap();
        });
        assert!(directory.unwrap_err().contains("is no file"));
        let pipe = found(|etc| {
            std::fs::remove_file(etc.join("policy.toml")).unwrap();
            nix::unistd::mkfifo(&etc.join("policy.toml"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        });
        assert!(pipe.unwrap_err().contains("is no file"));
        assert!(found(|etc| write(etc.join("policy.toml"), "x".repeat(101)).unwrap()).is_err());
    }
}
