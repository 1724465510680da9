//! The grammar of each kind of value.

use std::collections::BTreeMap;

use super::Runtime;
use super::place::{Fault, Item, Placed, Read, shown};
use crate::observe::secrets::{is_name, refused};
use crate::plan::Seconds;

const A_DURATION: &str = "seconds from 1 to 3600, as a number or like \"120s\"";
pub const RESERVED_PORT: &str =
    "the service has no right to ports below 1024: listen higher, behind the load balancer";
const A_STATUS: &str = "an HTTP status from 100 to 599";
const COMMANDS: &str = "a command, a list of commands, or false for none";

pub(super) fn runtime(item: &Item<'_>) -> Read<Runtime> {
    let known =
        Runtime::ALL.iter().map(|runtime| format!("\"{}\"", runtime.name())).collect::<Vec<_>>().join(", ");
    let name = item.string(&format!("one of {known}"))?;
    Runtime::ALL
        .iter()
        .copied()
        .find(|runtime| runtime.name() == name)
        .ok_or_else(|| item.fault(format!("is {}; expected one of {known}", shown(name))))
}

pub(super) fn node_range(item: &Item<'_>) -> Read<String> {
    let expected = "an npm version range like \"22\" or \">=20 <23\"";
    let range = item.string(expected)?;
    // An empty range is any version to npm: more likely a slip than a wish.
    if range.trim().is_empty() || range.len() > 100 || nodejs_semver::Range::parse(range).is_err() {
        return Err(item.fault(format!("is {}; expected {expected}", shown(range))));
    }
    Ok(range.to_owned())
}

/// The unit takes every capability from the service, and its user is not root.
pub(super) fn port(item: &Item<'_>) -> Read<u16> {
    match item.number(1..=u16::MAX, "a number from 1024 to 65535")? {
        reserved @ ..1024 => Err(item.fault(format!("is {reserved}; {RESERVED_PORT}"))),
        port => Ok(port),
    }
}

pub(super) fn command(item: &Item<'_>) -> Read<String> {
    let command = item.string("a command")?;
    if command.trim().is_empty() {
        return Err(item.fault("is empty; expected a command"));
    }
    if command.chars().any(|c| c.is_control() && c != '\t') {
        return Err(item.fault("has a line break or another control character; expected one line"));
    }
    Ok(command.to_owned())
}

/// `false` is the empty list: nothing is to be run, not even the runtime's own way.
pub(super) fn commands(item: &Item<'_>) -> Read<Vec<String>> {
    if item.as_bool() == Some(false) {
        return Ok(Vec::new());
    }
    if item.as_str().is_some() {
        return Ok(vec![command(item)?]);
    }
    item.list(COMMANDS)?.iter().map(command).collect()
}

pub(super) fn url_path(item: &Item<'_>) -> Read<String> {
    let path = item.string("a path like \"/health\"")?;
    if !path.starts_with('/') {
        return Err(item.fault(format!("is {}; expected a path that starts with /", shown(path))));
    }
    if path.len() > 1024 {
        return Err(item.fault(format!("has {} bytes; expected at most 1024", path.len())));
    }
    if !path.chars().all(|c| c.is_ascii_graphic()) {
        return Err(
            item.fault("has blanks, control characters or letters beyond ASCII; expected them %-encoded")
        );
    }
    Ok(path.to_owned())
}

pub(super) fn statuses(item: &Item<'_>) -> Read<Vec<u16>> {
    if item.is_integer() {
        return Ok(vec![item.number(100..=599, A_STATUS)?]);
    }
    let list = item.list("an HTTP status or a list of them")?;
    if list.is_empty() {
        return Err(
            item.fault("is an empty list; expected at least one status (without the key, any 2xx is good)")
        );
    }
    list.iter().map(|item| item.number(100..=599, A_STATUS)).collect()
}

pub(super) fn seconds(item: &Item<'_>) -> Read<Seconds> {
    let Some(text) = item.as_str() else {
        return Ok(Seconds(item.number(1..=3600, A_DURATION)?.into()));
    };
    let digits = text.strip_suffix('s').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| (1..=3600).contains(number));
    number.map(Seconds).ok_or_else(|| item.fault(format!("is {}; expected {A_DURATION}", shown(text))))
}

/// Debian's own grammar, but for a hyphen at the end: to apt that means "remove".
pub(super) fn packages(item: &Item<'_>) -> Read<Vec<String>> {
    let mut packages: Vec<String> = Vec::new();
    for item in item.list("a list of package names")? {
        let name = item.string("a package name like \"ffmpeg\"")?;
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if name.len() < 2 || name.len() > 100 || !starts || !name.chars().all(letters) || name.ends_with('-')
        {
            let rule = "a-z, 0-9, + - and ., a letter or digit first, no hyphen last";
            return Err(item.fault(format!("has {}; expected a package name ({rule})", shown(name))));
        }
        if !packages.iter().any(|known| known == name) {
            packages.push(name.to_owned());
        }
    }
    Ok(packages)
}

/// Directories inside the release. They become paths of mounts and links, so their letters are few.
pub(super) fn directories(item: &Item<'_>) -> Read<Vec<String>> {
    let mut directories: Vec<String> = Vec::new();
    for item in item.list("a list of directories")? {
        let directory = directory(&item)?;
        let inside = |outer: &str, inner: &str| format!("{inner}/").starts_with(&format!("{outer}/"));
        if let Some(other) =
            directories.iter().find(|other| inside(other, &directory) || inside(&directory, other))
        {
            return Err(item.fault(format!("names \"{directory}\" and \"{other}\", one inside the other")));
        }
        directories.push(directory);
    }
    Ok(directories)
}

fn directory(item: &Item<'_>) -> Read<String> {
    let expected = "a directory inside the repository, like \"uploads\" or \"data/files\"";
    let text = item.string(expected)?;
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if path.len() > 1024 || !path.split('/').all(is_part) {
        let rule = "letters, digits, . _ - and /; relative, without . and ..";
        return Err(item.fault(format!("has {}; expected {expected} ({rule})", shown(text))));
    }
    if matches!(path.split('/').next(), Some(".env" | ".git")) {
        return Err(item.fault(format!("has {}, which is not the service's to keep", shown(text))));
    }
    Ok(path.to_owned())
}

pub(super) fn names(item: &Item<'_>) -> Read<Vec<String>> {
    let one = |item: &Item<'_>| {
        let name = item.string("a variable name")?;
        if is_name(name) { Ok(name.to_owned()) } else { Err(item.fault(not_a_name(name))) }
    };
    item.list("a list of variable names")?.iter().map(one).collect()
}

/// Names that the refuse list lets go if asked; the others would be asked for in vain.
pub(super) fn allowed(item: &Item<'_>) -> Read<Vec<String>> {
    let names = names(item)?;
    for (name, item) in names.iter().zip(item.list("a list of variable names")?) {
        if let Some(why) = refused(name, &names) {
            return Err(item.fault(format!("has {name}, which can never be allowed: {why}")));
        }
    }
    Ok(names)
}

pub(super) fn variables(item: &Item<'_>) -> Read<BTreeMap<String, Placed<String>>> {
    let mut variables = BTreeMap::new();
    for (name, at, item) in item.table()?.entries() {
        if !is_name(name) {
            return Err(Fault { at, what: format!("env.values {}", not_a_name(name)) });
        }
        let value = item.string("a string: write it in quotes")?;
        if value.contains('\0') {
            return Err(item.fault("has a NUL character, which no environment can carry"));
        }
        variables.insert(name.to_owned(), item.placed(value.to_owned()));
    }
    Ok(variables)
}

fn not_a_name(name: &str) -> String {
    format!(
        "has {}; expected a variable name (letters, digits and _, not a digit first, up to 128)",
        shown(name)
    )
}
