//! Checks the names in a git tree before a file is written under one of them.

/// In bytes. Leaves room below PATH_MAX (4096) for the release's directory and for what a build adds.
const LONGEST_PATH: usize = 1_000;
/// The kernel's NAME_MAX.
const LONGEST_NAME: usize = 255;

/// Appends a tree entry's name to its directory's path. `Err` says what is wrong with the name.
pub(super) fn join(directory: &str, name: &[u8]) -> Result<String, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8")?;
    check(name)?;
    let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    if path.len() > LONGEST_PATH { Err("its path is longer than 1000 bytes") } else { Ok(path) }
}

fn check(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("its name is empty"),
        "." | ".." => Err("its name leads to another directory"),
        _ if name.contains('/') => Err("its name has a slash"),
        _ if name.contains(char::is_control) => Err("its name has a control character"),
        _ if name.len() > LONGEST_NAME => Err("its name is longer than 255 bytes"),
        _ if is_dot_git(name) => Err("some file systems take its name for .git"),
        _ => Ok(()),
    }
}

/// Whether the name is `.git`, in any case, or is so for NTFS or HFS+ (CVE-2014-9390). Refused on Linux, too: a release
/// may be copied, and git runs programs that are named in a `.git/config`.
fn is_dot_git(name: &str) -> bool {
    let seen: String = name.chars().filter(|c| !ignored_by_hfs(*c)).flat_map(char::to_lowercase).collect();
    let stem = seen.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    // NTFS takes a backslash for a separator.
    stem.split('\\').any(|part| {
        let part = part.trim_end_matches(['.', ' ']);
        part == ".git" || part == "git~1"
    })
}

/// The code points that HFS+ drops when it compares names.
fn ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in
            [".gitignore", ".gitattributes", ".github", "git", "a.git", "x~1", "...", "a b", "é", "a:b", "-"]
        {
            assert_eq!(join("d", name.as_bytes()), Ok(format!("d/{name}")));
        }
        assert_eq!(join("", b"package.json"), Ok("package.json".to_owned()));
    }

    #[test]
    fn unsafe_names_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/etc",
            "a\nb",
            "a\0b",
            "\u{1b}[2J",
            "a\u{7f}",
            "\u{85}",
            ".git",
            ".GIT",
            ".Git",
            ".git.",
            ".git ",
            ".git. .",
            "git~1",
            "GIT~1",
            ".git::$INDEX_ALLOCATION",
            ".git:x",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".git\\config",
            "a\\.git",
            ".gi\u{202e}t",
        ] {
            assert!(join("", name.as_bytes()).is_err(), "{name:?} was let through");
        }
        assert!(join("", b"\xff\xfe").is_err());
        assert!(join("", "x".repeat(256).as_bytes()).is_err());
        assert!(join(&"x/".repeat(499), b"yyyy").is_err());
    }
}
