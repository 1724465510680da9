//! Parses and checks the values of a manifest.

use std::collections::{BTreeMap, BTreeSet};

use super::SupervisorName;
use super::spanned::{Fault, Item, Placed, Read, shown};
use super::tables::Table;
use crate::facts::Strength;
use crate::observe::secrets::{MOST_KEYS, Refusal, is_name, refusal};
use crate::plan::Seconds;

// Limits of lists. Each read checks a manifest once per overlay: without limits, a push could stop the agent for
// minutes.
/// Of `env.values` and of `env.required`: as many as a secret may have.
pub const MOST_VARIABLES: usize = MOST_KEYS;
/// More than there are refused names.
pub const MOST_ALLOWED: usize = 100;
/// Each command is a step of the plan, with a transient unit.
pub const MOST_COMMANDS: usize = 50;
/// Bytes of a command: far below the kernel's limit for one argument, 128 KiB.
pub const LONGEST_COMMAND: usize = 8192;
pub const MOST_PACKAGES: usize = 200;
/// Each directory is two steps of the plan, and a mount of the unit.
pub const MOST_DIRECTORIES: usize = 100;
pub const MOST_STATUSES: usize = 100;

const A_DURATION: &str = "seconds from 1 to 3600, as a number or like \"120s\"";
pub const RESERVED_PORT: &str =
    "the service may not use ports below 1024: listen on a higher port, behind a load balancer";
/// The lowest port that every user may open.
const FIRST_OPEN_PORT: u16 = 1024;

/// A port below 1024 that the manifest names, which only the policy can allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowPort {
    pub key: &'static str,
    pub port: u16,
    /// The byte offset in the file, and with the whole file also `bootagent.toml:1:8`.
    pub at: usize,
    pub place: String,
}

impl LowPort {
    pub(super) fn of(key: &'static str, port: &Placed<u16>) -> Option<LowPort> {
        let is_low = port.value < FIRST_OPEN_PORT;
        is_low.then(|| LowPort { key, port: port.value, at: port.at, place: String::new() })
    }
}
const A_STATUS: &str = "an HTTP status from 100 to 599";
const COMMANDS: &str = "a command, a list of commands, or false for none";

/// The name of a known runtime.
pub(super) fn runtime(item: &Item<'_>, runtimes: &[&Table]) -> Read<String> {
    let known = runtimes.iter().map(|table| format!("\"{}\"", table.name)).collect::<Vec<_>>().join(", ");
    let name = item.string(&format!("one of {known}"))?;
    match runtimes.iter().any(|table| table.name == name) {
        true => Ok(name.to_owned()),
        false => Err(item.fault(format!("is {}; expected one of {known}", shown(name)))),
    }
}

pub(super) fn supervisor(item: &Item<'_>) -> Read<SupervisorName> {
    let names = SupervisorName::ALL.iter().map(|name| format!("\"{}\"", name.name()));
    let known = names.collect::<Vec<_>>().join(", ");
    let name = item.string(&format!("one of {known}"))?;
    SupervisorName::ALL
        .iter()
        .copied()
        .find(|supervisor| supervisor.name() == name)
        .ok_or_else(|| item.fault(format!("is {}; expected one of {known}", shown(name))))
}

/// A port below 1024 becomes a [`LowPort`]: the policy decides about it, and it is not known here.
pub(super) fn port(item: &Item<'_>) -> Read<u16> {
    item.number(1..=u16::MAX, "a number from 1024 to 65535")
}

/// The port of a candidate, which nothing outside of the machine asks: it needs none below 1024.
pub(super) fn open_port(item: &Item<'_>) -> Read<u16> {
    match port(item)? {
        reserved @ ..FIRST_OPEN_PORT => Err(item.fault(format!("is {reserved}; {RESERVED_PORT}"))),
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
    if command.len() > LONGEST_COMMAND {
        let long =
            format!("has {} bytes; the limit is {LONGEST_COMMAND}: put it into a script", command.len());
        return Err(item.fault(long));
    }
    Ok(command.to_owned())
}

/// `false` is the empty list: run nothing, not even the runtime's default commands.
pub(super) fn commands(item: &Item<'_>) -> Read<Vec<String>> {
    if item.as_bool() == Some(false) {
        return Ok(Vec::new());
    }
    if item.as_str().is_some() {
        return Ok(vec![command(item)?]);
    }
    item.list(COMMANDS, MOST_COMMANDS)?.iter().map(command).collect()
}

pub(super) fn check(item: &Item<'_>) -> Read<Strength> {
    let known = Strength::ALL.map(|check| format!("\"{}\"", check.name())).join(", ");
    let name = item.string(&format!("one of {known}"))?;
    Strength::ALL
        .into_iter()
        .find(|check| check.name() == name)
        .ok_or_else(|| item.fault(format!("is {}; expected one of {known}", shown(name))))
}

/// The value of a `Host` header. Other characters are refused: a line break in it would add a header.
pub(super) fn host(item: &Item<'_>) -> Read<String> {
    let expected = "a host name like \"api.example.com\", perhaps with a port";
    let host = item.string(expected)?;
    let letters = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || host.len() > 255 || !host.chars().all(letters) {
        return Err(item.fault(format!("is {}; expected {expected}", shown(host))));
    }
    Ok(host.to_owned())
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
            item.fault("has blanks, control characters or non-ASCII letters; write them percent-encoded")
        );
    }
    Ok(path.to_owned())
}

pub(super) fn statuses(item: &Item<'_>) -> Read<Vec<u16>> {
    if item.is_integer() {
        return Ok(vec![item.number(100..=599, A_STATUS)?]);
    }
    let list = item.list("an HTTP status or a list of them", MOST_STATUSES)?;
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

/// The grammar of package names of Debian and of RPM. Without a hyphen at the end: apt would remove such a package. Without
/// `.rpm` at the end: dnf would take it for a file, whose signature it does not check.
pub(super) fn packages(item: &Item<'_>) -> Read<Vec<String>> {
    let (mut packages, mut known) = (Vec::new(), BTreeSet::new());
    for item in item.list("a list of package names", MOST_PACKAGES)? {
        let name = item.string("a package name like \"ffmpeg\"")?;
        let letters = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let ends = name.ends_with('-') || name.ends_with(".rpm");
        if name.len() < 2 || name.len() > 100 || !starts || !name.chars().all(letters) || ends {
            let rule = "letters, digits, + - . and _, a letter or digit first, no hyphen or .rpm last";
            return Err(item.fault(format!("has {}; expected a package name ({rule})", shown(name))));
        }
        if known.insert(name) {
            packages.push(name.to_owned());
        }
    }
    Ok(packages)
}

/// Directories inside the release. Few characters are allowed, because they become paths of mounts and links.
pub(super) fn directories(item: &Item<'_>) -> Read<Vec<String>> {
    let (mut directories, mut known) = (Vec::new(), BTreeSet::new());
    for item in item.list("a list of directories", MOST_DIRECTORIES)? {
        let directory = directory(&item)?;
        if let Some(other) = related(&directory, &known) {
            return Err(item.fault(format!("names \"{directory}\" and \"{other}\", one inside the other")));
        }
        // With the slash, `a/` sorts directly before everything below it, and `a-b/` does not look like a part of it.
        known.insert(format!("{directory}/"));
        directories.push(directory);
    }
    Ok(directories)
}

/// The known directory that is equal to this one, or above or below it. `known` has a slash at the end of each.
pub(super) fn related<'k>(directory: &str, known: &'k BTreeSet<String>) -> Option<&'k str> {
    let own = format!("{directory}/");
    let above = own.match_indices('/').find_map(|(slash, _)| known.get(&own[..=slash]));
    let below = || known.range(own.clone()..).next().filter(|next| next.starts_with(&own));
    above.or_else(below).map(|other| other.trim_end_matches('/'))
}

pub(super) fn directory(item: &Item<'_>) -> Read<String> {
    let expected = "a directory inside the repository, like \"uploads\" or \"data/files\"";
    let text = item.string(expected)?;
    let path = text.strip_suffix('/').unwrap_or(text);
    relative(path, expected).map_err(|what| item.fault(format!("has {}{what}", shown(text))))?;
    Ok(path.to_owned())
}

/// Checks a path inside the release. The error follows the path in a message.
pub(super) fn relative(path: &str, expected: &str) -> Result<(), String> {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if path.len() > 1024 || !path.split('/').all(is_part) {
        let rule = "letters, digits, . _ - and /; relative, without . and ..";
        return Err(format!("; expected {expected} ({rule})"));
    }
    match matches!(path.split('/').next(), Some(".env" | ".git")) {
        true => Err(", which bootagent itself manages".to_owned()),
        false => Ok(()),
    }
}

pub(super) fn names(item: &Item<'_>, most: usize) -> Read<Vec<String>> {
    item.list("a list of variable names", most)?.iter().map(named).collect()
}

/// The name of a variable.
pub(super) fn named(item: &Item<'_>) -> Read<String> {
    let name = item.string("a variable name")?;
    if is_name(name) { Ok(name.to_owned()) } else { Err(item.fault(not_a_name(name))) }
}

/// The names in `env.allow`. A name that can never be allowed is an error: the entry would have no effect.
pub(super) fn allowed(item: &Item<'_>) -> Read<BTreeSet<String>> {
    let names = names(item, MOST_ALLOWED)?;
    for (name, item) in names.iter().zip(item.list("a list of variable names", MOST_ALLOWED)?) {
        if let Some(refusal) = refusal(name).filter(|refusal| !refusal.allowable) {
            return Err(item.fault(format!("has {name}, which can never be allowed: {}", refusal.why)));
        }
    }
    Ok(names.into_iter().collect())
}

/// A public variable, and why its name is refused, if it is: checked once, not again for each overlay.
#[derive(Clone)]
pub(super) struct Variable {
    pub text: String,
    pub refusal: Option<Refusal>,
}

pub(super) fn variables(item: &Item<'_>) -> Read<BTreeMap<String, Placed<Variable>>> {
    let mut variables = BTreeMap::new();
    for (name, at, item) in item.bounded_table(MOST_VARIABLES)?.entries() {
        if !is_name(name) {
            return Err(Fault { at, what: format!("env.values {}", not_a_name(name)) });
        }
        let value = item.string("a string: write it in quotes")?;
        if value.contains('\0') {
            return Err(item.fault("has a NUL character, which no environment variable can contain"));
        }
        let variable = Variable { text: value.to_owned(), refusal: refusal(name) };
        variables.insert(name.to_owned(), item.placed(variable));
    }
    Ok(variables)
}

pub(super) fn not_a_name(name: &str) -> String {
    format!(
        "has {}; expected a variable name (letters, digits and _, not a digit first, up to 128)",
        shown(name)
    )
}
