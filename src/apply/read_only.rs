//! Recognizes in a service's output that it tried to write into its release, which is read-only, and names the remedy.
//! It gets lines that are redacted already.

/// The remedy, if the line reports a refused write below the release.
pub fn complaint(line: &str) -> Option<String> {
    let may = "the service may write below its HOME (/var/lib/NAME) and to /tmp";
    if SQLITE.iter().any(|words| line.contains(words)) {
        return Some(format!(
            "is the file of the SQLite database in the release? A release is read-only: put the file into a directory of its own \
             and add persist = [\"DIRECTORY\"] to bootagent.toml (writable = [\"DIRECTORY\"] if the repository has other files there: \
             each release begins anew), or elsewhere: {may}; then: bootagent update"
        ));
    }
    let path = refused_path(line)?;
    Some(match directory(line, &path) {
        Some(directory) => format!(
            "a release is read-only: to keep {directory} over releases, add persist = [\"{directory}\"] to bootagent.toml; if the \
             repository has files in it, which persist hides, writable = [\"{directory}\"] in its place: each release begins with \
             those; then: bootagent update"
        ),
        None if is_made_to_replace(line, &path) => {
            "a release is read-only, and the service writes a new file to put it in the place of another one: move that file into a \
             directory of its own, and name the directory in writable (each release begins with what the repository has there) or \
             persist; then: bootagent update"
                .to_owned()
        }
        None if is_plain(&path) => format!(
            "a release is read-only: commit {path} (it may be empty), and add writable = [\"{path}\"] to bootagent.toml: each release \
             begins with that file; or write it elsewhere: {may}; then: bootagent update"
        ),
        None => {
            format!("a release is read-only: {may}, and to what persist and writable in bootagent.toml name")
        }
    })
}

/// SQLite does not name the file.
const SQLITE: [&str; 4] = [
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "unable to open database file",
    "attempt to write a readonly database",
];

/// The path, relative to the release, in a message of Node (`EROFS: read-only file system, open 'logs/app.log'`),
/// Python (`[Errno 30] Read-only file system: 'logs/app.log'`) or Go (`open logs/app.log: read-only file system`).
fn refused_path(line: &str) -> Option<String> {
    let lower = line.to_lowercase();
    let is_read_only = lower.contains("erofs") || lower.contains("read-only file system");
    // On a read-only file system Node's recursive mkdir reports ENOENT.
    let is_mkdir = lower.contains("enoent") && lower.contains(", mkdir ");
    if !is_read_only && !is_mkdir && !lower.contains("eacces") && !lower.contains("permission denied") {
        return None;
    }
    // Other quoted words are not paths: `permission denied to create extension "uuid-ossp"` of PostgreSQL, a JSON line's
    // names, Bun's `code: "EROFS"`.
    let of_node = || {
        let (_, rest) = line.split_once(", ").filter(|(before, _)| before.contains(": "))?;
        let (call, rest) = rest.split_once(" '")?;
        call.chars().all(|c| c.is_ascii_lowercase()).then(|| rest.split('\'').next()).flatten()
    };
    let of_python = || {
        let (_, rest) = line.split_once("[Errno ")?.1.split_once(": ")?;
        rest.strip_prefix(['\'', '"'])?.split(['\'', '"']).next()
    };
    let of_go = || {
        let (before, _) =
            line.split_once(": read-only file system").or_else(|| line.split_once(": permission denied"))?;
        let mut words = before.rsplit(' ');
        let path = words.next()?;
        ["open", "mkdir"].contains(&words.next()?).then_some(path)
    };
    inside(of_node().or_else(of_python).or_else(of_go)?)
}

/// The path relative to the release; `None` if it is outside of a release.
fn inside(path: &str) -> Option<String> {
    let relative = match path.strip_prefix("/opt/") {
        Some(below) => {
            let (_service, below) = below.split_once('/')?;
            match below.strip_prefix("releases/") {
                Some(release) => release.split_once('/')?.1,
                None => below.strip_prefix("current/")?,
            }
        }
        None if path.starts_with('/') => return None,
        None => path.strip_prefix("./").unwrap_or(path),
    };
    (!relative.is_empty()).then(|| relative.to_owned())
}

/// The directory for `persist`: the one that mkdir should create, or the parent of the file. `None` if `persist` does
/// not accept it.
fn directory(line: &str, path: &str) -> Option<String> {
    let path = path.trim_end_matches('/');
    // Python does not say whether it would make a directory. A file at the root has an ending.
    let is_pythons = line.contains("[Errno ") && !path.contains(['/', '.']);
    let made = line.contains("mkdir") || is_pythons;
    let directory = if made { Some(path) } else { path.rsplit_once('/').map(|(directory, _)| directory) }?;
    is_plain(directory).then(|| directory.to_owned())
}

/// Many libraries write `.db.json.tmp`, and then rename it to `db.json`: a file that is writable by itself cannot be replaced.
fn is_made_to_replace(line: &str, path: &str) -> bool {
    let is_temporary = path.starts_with('.') || [".tmp", ".swp", "~"].iter().any(|end| path.ends_with(end));
    is_temporary && !path.starts_with(".env") || line.contains(", rename '")
}

/// Whether `persist` and `writable` accept the path.
fn is_plain(path: &str) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let is_ours = matches!(path.split('/').next(), Some(".env" | ".git"));
    path.len() < 200 && !is_ours && path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn proposes(line: &str, directory: &str) {
        let remedy = complaint(line).unwrap_or_default();
        assert!(remedy.contains(&format!("persist = [\"{directory}\"]")), "{line}: {remedy}");
    }

    #[test]
    fn the_remedy_names_the_directory_of_the_path() {
        let id = "0123456789abcdef0123456789abcdef01234567-0123456789ab";
        proposes(&format!("Error: EROFS: read-only file system, mkdir '/opt/x/releases/{id}/logs'"), "logs");
        proposes("Error: EROFS: read-only file system, open '/opt/x/current/data/files/a.png'", "data/files");
        proposes("Error: EACCES: permission denied, open 'uploads/a.png'", "uploads");
        proposes("Error: EROFS: read-only file system, mkdir './tmp/'", "tmp");
        proposes("Error: ENOENT: no such file or directory, mkdir 'logs'", "logs");
        proposes("OSError: [Errno 30] Read-only file system: 'logs/app.log'", "logs");
        proposes(
            &format!("OSError: [Errno 30] Read-only file system: '/opt/x/releases/{id}/instance'"),
            "instance",
        );
        proposes("panic: open logs/app.log: read-only file system", "logs");
    }

    #[test]
    fn for_a_file_at_the_root_the_remedy_names_no_directory() {
        let remedy = complaint("Error: EROFS: read-only file system, open '/opt/x/current/db.json'").unwrap();
        assert!(!remedy.contains("persist = [") && remedy.contains("HOME"), "{remedy}");
        assert!(remedy.contains("writable = [\"db.json\"]"), "{remedy}");
        let remedy = complaint("Error: EROFS: read-only file system, open '.db.json.tmp'").unwrap();
        assert!(remedy.contains("a directory of its own") && !remedy.contains(" = ["), "{remedy}");
        for odd in ["'lo gs/x'", "'.env/x'", "'.git/x/y'", "'../x/y'", "'a\"]\\nport = 1/x'", "'[TOKEN]/x'"] {
            let remedy = complaint(&format!("Error: EROFS: read-only file system, open {odd}"));
            assert!(remedy.is_none_or(|remedy| !remedy.contains(" = [")), "{odd}");
        }
    }

    #[test]
    fn refused_writes_outside_of_the_release_are_ignored() {
        for line in [
            "Error: listen EACCES: permission denied 0.0.0.0:80",
            "Error: EACCES: permission denied, open '/etc/shadow'",
            "Error: EROFS: read-only file system, open '/etc/x'",
            "Error: ENOENT: no such file or directory, open 'logs/app.log'",
            "ERROR: permission denied for table users",
            "",
        ] {
            assert_eq!(complaint(line), None, "{line}");
        }
    }

    /// As Bun prints it, over several lines.
    #[test]
    fn the_code_of_an_error_is_not_its_path() {
        assert!(complaint("    code: \"EROFS\"").is_none());
        proposes("EROFS: read-only file system, mkdir './data'", "data");
    }

    #[test]
    fn quoted_words_that_are_no_paths_have_no_remedy() {
        for line in [
            "ERROR: permission denied to create extension \"uuid-ossp\"",
            r#"{"level":"error","err":"EACCES"}"#,
            "error: permission denied for table \"users\"",
        ] {
            assert!(complaint(line).is_none(), "{line}");
        }
        proposes(r#"{"level":"error","err":"EROFS: read-only file system, mkdir 'logs'"}"#, "logs");
    }

    #[test]
    fn a_file_of_sqlite_is_told_to_leave_the_release() {
        for line in [
            "Error: SQLITE_CANTOPEN: unable to open database file",
            "sqlite3.OperationalError: attempt to write a readonly database",
        ] {
            assert!(complaint(line).unwrap().contains("persist = [\"DIRECTORY\"]"), "{line}");
        }
        assert!(complaint("Error: SQLITE_CONSTRAINT: UNIQUE constraint failed: a.b").is_none());
    }
}
