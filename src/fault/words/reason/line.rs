//! How well one line of an output names the reason of a failure. Pure.

use super::form::names_an_error;
use super::variables::{is_about_missing_variables, is_headline_of_variables};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A stack frame, a warning, or a detail that a tool adds to each of its errors.
    Noise,
    Other,
    SaysError,
    /// An error that says only that another program failed.
    WrapsAnError,
    /// `TypeError: ...`
    NamesAnError,
    /// Says what is missing or where in the source the mistake is.
    Specific,
}

pub fn rank(line: &str) -> Rank {
    let text = own(line);
    match () {
        () if is_code_of_npm(text) => Rank::Other,
        () if is_noise(line, text) => Rank::Noise,
        () if is_specific(text) => Rank::Specific,
        () if names_an_error(text) && wraps(text) => Rank::WrapsAnError,
        () if names_an_error(text) => Rank::NamesAnError,
        () if text.to_lowercase().contains("error") => Rank::SaysError,
        () => Rank::Other,
    }
}

/// The line without what a package manager puts in front of the output of a script, and without blanks at its ends.
pub fn own(line: &str) -> &str {
    let mut text = line.trim();
    for prefix in ["npm error", "npm ERR!", "gyp ERR! stack", "gyp ERR!"] {
        text = text.strip_prefix(prefix).map_or(text, str::trim_start);
    }
    // npm's own code, which says nothing without npm's name.
    if text.starts_with("code E") {
        return line.trim();
    }
    // Yarn: `➤ YN0000: │ sample@workspace:. STDERR sh: 1: husky: not found`.
    if let Some((_, rest)) = text.strip_prefix("➤ YN").and_then(|rest| rest.split_once(": ")) {
        text = rest.trim_start_matches(['│', '┌', '└', '·', ' ']);
        text =
            ["STDERR ", "STDOUT "].iter().find_map(|by| text.split_once(by)).map_or(text, |(_, rest)| rest);
    }
    // pnpm: `. postinstall: sh: 1: husky: not found`.
    for script in [" preinstall: ", " install: ", " postinstall: ", " prepare: "] {
        if let Some((_, rest)) = text.split_once(script).filter(|(of, _)| !of.contains(' ')) {
            text = rest;
        }
    }
    text
}

/// A line of a stack trace, as `    at Module._compile (node:internal/modules/cjs/loader:1554:14)`.
pub fn is_stack_frame(line: &str) -> bool {
    let text = own(line);
    text.strip_prefix("at ").is_some_and(|rest| {
        rest.ends_with(')') || rest.ends_with(|c: char| c.is_ascii_digit()) || rest.contains("<anonymous>")
    })
}

fn is_noise(line: &str, text: &str) -> bool {
    /// What npm adds to each of its errors. Its own codes, as E404, say more than the exit status of a script.
    const OF_NPM: [&str; 9] =
        ["code ", "errno ", "syscall ", "path ", "command ", "dest ", "signal ", "workspace ", "location "];
    const OF_GYP: [&str; 8] =
        ["System ", "cwd ", "command ", "node -v", "node-gyp -v", "not ok", "build error", "configure error"];
    const OF_ANY: [&str; 32] = [
        "npm warn",
        "npm WARN",
        "npm notice",
        "npm info",
        "npm verb",
        "npm http",
        "gyp info",
        "gyp WARN",
        "gyp verb",
        "gyp http",
        "warning ",
        "warning: ",
        "warn ",
        "WARN ",
        "info ",
        "[WARN",
        "(node:",
        "(Use `node ",
        "Node.js v",
        "Bun v",
        "A complete log of this run",
        "Lifecycle script ",
        "ELIFECYCLE",
        "error Command failed with exit code",
        "Command failed with exit code",
        "Failed with errors",
        "Validation Error Count",
        "Require stack:",
        "throw ",
        "make: *** [",
        "requireStack: ",
        "Exit code: ",
    ];
    let begins = |with: &[&str]| with.iter().any(|with| text.starts_with(with));
    let whole = line.trim_start();
    let is_of_npm = whole.starts_with("npm error") || whole.starts_with("npm ERR!");
    let is_property = |name: &str| text.strip_prefix(name).is_some_and(|rest| rest.starts_with(": "));
    !text.contains(|c: char| c.is_alphabetic())
        || is_stack_frame(line)
        || begins(&OF_ANY)
        || (is_of_npm && begins(&OF_NPM))
        || (whole.contains("gyp ERR!") && begins(&OF_GYP))
        || ["code", "errno", "syscall", "status", "signal"].iter().any(|name| is_property(name))
        || is_count(text)
}

fn is_code_of_npm(text: &str) -> bool {
    text.starts_with("npm error code E") || text.starts_with("npm ERR! code E")
}

/// `Found 2 errors in 2 files.`
fn is_count(text: &str) -> bool {
    let rest = text.strip_prefix("Found ").unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains("error")
}

/// Whether the line says what is missing, or where in the source the mistake is.
fn is_specific(text: &str) -> bool {
    /// `text` contains all words of a row.
    const WORDS: &[&[&str]] = &[
        &["command not found"],
        &["/usr/bin/env: ", "No such file or directory"],
        &["Error: not found: "],
        &["spawn ", " ENOENT"],
        &["Cannot find module "],
        &["Cannot find package "],
        &["Could not find any Python"],
        &["cannot open shared object file"],
        &["Environment variable not found"],
        &["Module not found: "],
        &["Can't resolve '"],
        &["Could not resolve \""],
        &["failed to resolve import"],
        &["Could not find a production build"],
        &["error during build:"],
        &["Missing script: "],
        &["Host key verification failed"],
        &["Permission denied (publickey"],
        &["ERROR [ExceptionHandler]"],
        &["Failed to load next.config"],
        &["do not have the required package(s) installed"],
        &["Failed to fetch ", " from Google Fonts"],
        &["did not initialize yet"],
        &["can't open file '", "[Errno 2]"],
        &["Error loading ASGI app"],
        &["Failed to find attribute '"],
    ];
    const BEGINNINGS: [&str; 5] =
        ["fatal: ", "Type error: ", "SyntaxError: ", "Syntax Error", "Error: Parse failure"];
    let is_of_make = text.starts_with("make: ") || text.starts_with("make[");
    let is_of_tsc =
        text.split_once("error TS").is_some_and(|(_, code)| code.starts_with(|c: char| c.is_ascii_digit()));
    (is_of_a_shell(text) && text.ends_with(": not found"))
        || (is_of_make && text.ends_with(": No such file or directory"))
        || is_of_tsc
        || text.contains("fatal error: ")
        || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        || WORDS.iter().any(|row| row.iter().all(|words| text.contains(words)))
        || is_headline_of_variables(text)
        || is_about_missing_variables(text)
}

/// `sh: 1: husky: not found`, `/usr/bin/bash: line 1: husky: command not found`
pub fn is_of_a_shell(text: &str) -> bool {
    text.split(' ').next().is_some_and(|name| name.ends_with("sh:"))
}

/// Whether the error says only how a program ended that was started by another one.
fn wraps(text: &str) -> bool {
    ["Command failed", "failed with exit code", "exited with code", "exited with "]
        .iter()
        .any(|words| text.contains(words))
}
