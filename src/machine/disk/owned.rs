//! Who can change a path: the one check for all that root reads, runs or follows. A file that decides what root does
//! (a policy, a CA file) is read only if no user but root and the user of this process can change it.

use std::ffi::OsString;
use std::fs::{File, Metadata, read_link, symlink_metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};

/// The kernel's limit for symbolic links in a path (ELOOP).
const MOST_LINKS: u32 = 40;

/// Whether the group or other users can write to a file of this mode.
pub fn is_open(mode: u32) -> bool {
    mode & 0o022 != 0
}

/// Whether only root can change a file or directory of this owner and mode. False for a sticky directory such as /tmp,
/// where every user can take a free name.
pub fn only_root_can_change(owner: u32, mode: u32) -> bool {
    owner == 0 && !is_open(mode)
}

/// Whether only root can change a program and each directory above it, and so replace the program.
pub fn only_root_can_replace(path: &Path) -> bool {
    path.ancestors()
        .all(|part| part.metadata().is_ok_and(|data| only_root_can_change(data.uid(), data.mode())))
}

/// The cause of the error for a path that other users can change.
pub fn cause_others_can_write(path: &Path, mode: u32, owner: Option<&str>) -> String {
    let owner = owner.map(|name| format!(", owner {name}")).unwrap_or_default();
    format!("users other than root can change {} (mode {:04o}{owner})", path.display(), mode & 0o7777)
}

/// The content of a file of at most `longest` bytes; `None` if it is absent. The error names the part of the path that
/// other users can change.
pub fn read(path: &Path, longest: u64) -> Result<Option<Vec<u8>>, String> {
    let with_path = |error: std::io::Error| format!("{}: {error}", path.display());
    // No race up to the open: only trusted users can change the resolved path.
    let Some(real) = resolve(path)? else { return Ok(None) };
    if !symlink_metadata(&real).map_err(with_path)?.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    let mut content = Vec::new();
    File::open(real).map_err(with_path)?.take(longest + 1).read_to_end(&mut content).map_err(with_path)?;
    match content.len() as u64 > longest {
        true => Err(format!("{} is over {longest} bytes", path.display())),
        false => Ok(Some(content)),
    }
}

/// The path without symbolic links; `None` if it is absent. Refuses what `read` refuses.
pub fn resolved(path: &Path) -> Result<Option<PathBuf>, String> {
    resolve(path)
}

/// Resolves symbolic links, and refuses a path if other users can change a directory, link or file on it.
fn resolve(path: &Path) -> Result<Option<PathBuf>, String> {
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
                return Err(format!("{} goes through too many symbolic links", path.display()));
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
    // In a sticky directory users change only their own entries. A link's mode has no effect.
    let sticky = data.is_dir() && data.mode() & 0o1000 != 0;
    let open = is_open(data.mode()) && !sticky && !data.is_symlink();
    if !open && (owner.is_root() || owner == geteuid()) {
        return Ok(());
    }
    let name = User::from_uid(owner).ok().flatten().map_or(format!("uid {owner}"), |user| user.name);
    Err(cause_others_can_write(path, data.mode(), Some(&name)))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::*;

    /// Reads `policy.toml` in a directory that `change` has changed.
    fn read_policy(change: impl FnOnce(&Path)) -> Result<Option<String>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("etc");
        create_dir(&directory).unwrap();
        set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        write(directory.join("policy.toml"), "content").unwrap();
        set_permissions(directory.join("policy.toml"), Permissions::from_mode(0o644)).unwrap();
        change(&directory);
        let content = read(&directory.join("policy.toml"), 100)?;
        Ok(content.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Renames `policy.toml` to `real.toml`, and makes `policy.toml` a link to `to`.
    fn linked(directory: &Path, to: &str) {
        let file = directory.join("policy.toml");
        std::fs::rename(&file, directory.join("real.toml")).unwrap();
        symlink(to, file).unwrap();
    }

    #[test]
    fn only_root_can_change_its_files_that_no_other_user_can_write() {
        for (owner, mode, alone) in [
            (0, 0o100755, true),
            (0, 0o040700, true),
            (0, 0o100664, false),
            (0, 0o100646, false),
            (0, 0o041777, false),
            (1, 0o100755, false),
        ] {
            assert_eq!(only_root_can_change(owner, mode), alone, "{owner} {mode:o}");
        }
        assert!(only_root_can_replace(Path::new("/usr/bin/env")));
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("program");
        write(&program, "").unwrap();
        mode(&program, 0o755);
        assert!(!only_root_can_replace(&program), "others can take its name in {}", scratch.path().display());
        assert!(!only_root_can_replace(Path::new("/no/such/program")));
    }

    #[test]
    fn files_that_only_trusted_users_can_change_are_read() {
        let content = Ok(Some("content".to_owned()));
        assert_eq!(read_policy(|_| ()), content);
        assert_eq!(read_policy(|etc| mode(&etc.join("policy.toml"), 0o600)), content);
        assert_eq!(read_policy(|etc| linked(etc, "real.toml")), content);
        assert_eq!(read_policy(|etc| linked(etc, "../etc/./real.toml")), content);
        assert_eq!(read_policy(|etc| mode(etc, 0o1777)), content);
        assert_eq!(read_policy(|etc| std::fs::remove_file(etc.join("policy.toml")).unwrap()), Ok(None));
        assert_eq!(read_policy(|etc| linked(etc, "absent")), Ok(None));
    }

    #[test]
    fn the_refusal_names_the_path_and_mode_that_others_can_write() {
        for bits in [0o666, 0o664, 0o646] {
            let cause = read_policy(|etc| mode(&etc.join("policy.toml"), bits)).unwrap_err();
            assert!(cause.contains("policy.toml (mode 0") && cause.contains(&format!("{bits:o}")), "{cause}");
        }
        for bits in [0o777, 0o775] {
            let cause = read_policy(|etc| mode(etc, bits)).unwrap_err();
            assert!(cause.contains(&format!("etc (mode 0{bits:o}")), "{cause}");
        }
    }

    #[test]
    fn a_link_to_where_others_can_write_is_refused() {
        let elsewhere = tempfile::tempdir().unwrap();
        write(elsewhere.path().join("policy.toml"), "theirs").unwrap();
        mode(elsewhere.path(), 0o777);
        let path = elsewhere.path().join("policy.toml").display().to_string();
        let cause = read_policy(|etc| linked(etc, &path)).unwrap_err();
        assert!(cause.contains("(mode 0777"), "{cause}");
        let cause = read_policy(|etc| linked(etc, "policy.toml")).unwrap_err();
        assert!(cause.contains("too many symbolic links"), "{cause}");
    }

    #[test]
    fn the_refusal_names_the_owner_of_another_user_s_file() {
        if !geteuid().is_root() {
            return;
        }
        let file = read_policy(|etc| chown(etc.join("policy.toml"), Some(1), None).unwrap());
        let directory = read_policy(|etc| chown(etc, Some(12345), None).unwrap());
        let link = read_policy(|etc| {
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
    fn directories_pipes_and_long_files_are_refused() {
        let directory = read_policy(|etc| {
            std::fs::remove_file(etc.join("policy.toml")).unwrap();
            create_dir(etc.join("policy.toml")).unwrap();
        });
        assert!(directory.unwrap_err().contains("is not a file"));
        let pipe = read_policy(|etc| {
            std::fs::remove_file(etc.join("policy.toml")).unwrap();
            nix::unistd::mkfifo(&etc.join("policy.toml"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        });
        assert!(pipe.unwrap_err().contains("is not a file"));
        assert!(read_policy(|etc| write(etc.join("policy.toml"), "x".repeat(101)).unwrap()).is_err());
    }
}
