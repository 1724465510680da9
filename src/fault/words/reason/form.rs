//! The form of a line: an error with its name, the beginning of a list. Pure.

/// Whether the line announces more lines: `Missing variables:`, `ConfigError: [`.
pub fn opens_a_list(line: &str) -> bool {
    line.trim_end().ends_with([':', '[', '{', '('])
}

/// Bun prints `EROFS: read-only file system, mkdir './data'` without `Error: `.
const ERRNOS: [&str; 10] = [
    "EROFS",
    "EACCES",
    "EPERM",
    "ENOENT",
    "ENOSPC",
    "EMFILE",
    "EADDRINUSE",
    "ECONNREFUSED",
    "ENOTFOUND",
    "ETIMEDOUT",
];

/// Whether the line is like `Error: ...`, `TypeError [CODE]: ...`, `[cause]: Error: ...` or `could not start: Error: ...`.
pub fn names_an_error(text: &str) -> bool {
    text.split(": ").take(2).any(|part| part.split(" [").next().is_some_and(is_error))
        || text.split_once(": ").is_some_and(|(code, _)| ERRNOS.contains(&code))
        || text
            .match_indices(": ")
            .any(|(at, _)| text[..at].rsplit(' ').next().is_some_and(is_name_of_an_error))
        || text.strip_suffix(':').is_some_and(|name| !name.contains(' ') && is_error(name))
}

fn is_name_of_an_error(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.ends_with("Error")
        && word.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_error(name: &str) -> bool {
    name.ends_with("Error") && name.chars().all(|c| c.is_ascii_alphanumeric() || "._ ".contains(c))
}
