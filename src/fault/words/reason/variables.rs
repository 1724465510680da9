//! Names of environment variables in a line of an output. Pure.

use super::form::{names_an_error, opens_a_list};

/// Words of a message about a variable that is not there.
const MISSING: [&str; 9] = [
    "missing",
    "not set",
    "not defined",
    "undefined",
    "unset",
    "must be set",
    "required",
    "not found",
    "not provided",
];

/// The names in a text that are written as variables are: `DATABASE_URL`, or `"PORT"` in quotes. Each one once.
pub fn variables(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = 0;
    while let Some(begin) = text[rest..].find(is_part).map(|at| rest + at) {
        let end = text[begin..].find(|c| !is_part(c)).map_or(text.len(), |at| begin + at);
        let (before, after) = (&text[..begin], &text[end..]);
        if is_variable(&text[begin..end], before, after) && !names.contains(&&text[begin..end]) {
            names.push(&text[begin..end]);
        }
        rest = end;
    }
    names
}

fn is_variable(word: &str, before: &str, after: &str) -> bool {
    let is_upper = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && word.starts_with(|c: char| c.is_ascii_uppercase());
    let is_code = word.starts_with("ERR_") || matches!(word, "MODULE_NOT_FOUND" | "NODE_MODULE_VERSION");
    let is_quoted = before.ends_with(['"', '\'', '`']) && after.starts_with(['"', '\'', '`']);
    // `EACCES` and the like are codes.
    let is_errno = !word.contains('_') && word.starts_with('E') && word.len() > 4;
    // As redaction writes the place of a value.
    let is_redacted = before.ends_with('[') && after.starts_with(']');
    let is_of_process = before.ends_with("env.");
    is_upper
        && !is_code
        && !is_redacted
        && word.len() > 2
        && (is_of_process || word.trim_matches('_').contains('_') || (is_quoted && !is_errno))
}

/// Whether the line says that a variable is missing, and which.
pub fn is_about_missing_variables(text: &str) -> bool {
    // It names a variable of the program.
    if text.contains("ReferenceError") {
        return false;
    }
    let lower = text.to_lowercase();
    let is_about = lower.contains("variable") || mentions_environment(&lower) || names_an_error(text);
    is_about && MISSING.iter().any(|words| lower.contains(words)) && !variables(text).is_empty()
}

/// Whether the line is the headline of a list of variables: `Missing environment variables:`.
pub fn is_headline_of_variables(text: &str) -> bool {
    let lower = text.to_lowercase();
    let is_complaint =
        ["missing", "invalid", "required", "not set"].iter().any(|words| lower.contains(words));
    let is_of_variables = mentions_environment(&lower) || lower.contains("variables");
    is_complaint && is_of_variables && opens_a_list(text)
}

fn mentions_environment(lower: &str) -> bool {
    ["environment", "env var", "env.", " env ", " env:"].iter().any(|words| lower.contains(words))
}
