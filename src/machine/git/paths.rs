//! Names in a tree, judged before any of them becomes a file.

/// Longer paths don't fit below a release directory with room to spare.
const LONGEST_PATH: usize = 1_000;
const LONGEST_NAME: usize = 255;

/// Appends a tree entry's name to its directory's path, or says what is wrong with it.
pub(super) fn join(directory: &str, name: &[u8]) -> Result<String, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8")?;
    check(name)?;
    let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    if path.len() > LONGEST_PATH { Err("its path is longer than 1000 bytes") } else { Ok(path) }
}

fn check(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("it has no name"),
        "." | ".." => Err("its name leads to another directory"),
        _ if name.contains('/') => Err("its name holds a slash"),
        _ if name.contains(char::is_control) => Err("its name holds a control character"),
        _ if name.len() > LONGEST_NAME => Err("its name is longer than 255 bytes"),
        _ if is_dot_git(name) => Err("it would pass for a repository's own .git"),
        _ => Ok(()),
    }
}

/// `.git`, in any case and in the disguises that NTFS and HFS+ take for it. Those matter on Linux, too: a
/// release may be copied, and one name that some tool takes for `.git` makes it run what stands in it.
fn is_dot_git(name: &str) -> bool {
    let seen: String = name.chars().filter(|c| !ignored_by_hfs(*c)).flat_map(char::to_lowercase).collect();
    let stem = seen.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    // A backslash separates for NTFS.
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
    fn names_that_are_none_are_refused() {
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
