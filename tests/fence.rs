//! The architecture of the design, held against the source: which room may know which, what is pure,
//! what only the door may touch.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bootagent::error::Code;
use bootagent::fault::{Fault, Phase};

/// What each room of `src/` may name of the others, and nothing else.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli", "verbs"]),
    (
        "verbs",
        &[
            "boot", "cli", "error", "facts", "machine", "observe", "plan", "planner", "report", "secret",
            "watch",
        ],
    ),
    ("cli", &["error", "facts", "observe", "plan"]),
    ("boot", &["apply", "error", "facts", "machine", "observe", "plan", "planner", "report", "secret"]),
    ("watch", &["apply", "error", "facts", "fault", "machine", "plan"]),
    ("apply", &["error", "fault", "machine", "plan", "report", "secret"]),
    ("report", &["error", "facts", "machine", "observe", "plan", "secret"]),
    ("planner", &["error", "fault", "facts", "npm", "observe", "plan", "secret"]),
    ("observe", &["error", "fault", "facts", "machine", "plan", "secret"]),
    ("machine", &["error", "fault", "facts", "npm", "plan", "secret"]),
    ("npm", &["secret"]),
    ("plan", &["error", "facts", "secret"]),
    ("fault", &["error", "facts", "secret"]),
    ("facts", &["error", "secret"]),
    ("error", &["secret"]),
    ("secret", &[]),
];

/// Of these rooms, only these names: what can act stays out of reach of what only looks.
const NAMES: &[(&str, &str, &[&str])] = &[
    (
        "observe",
        "machine",
        &[
            "App",
            "Credential",
            "DocumentRequest",
            "FetchRequest",
            "Limits",
            "Observe",
            "Repository",
            "Scratch",
            "SecretPatience",
            "Tokens",
            "blocking",
        ],
    ),
    (
        "planner",
        "observe",
        &[
            "Archives",
            "ArchivesAllowed",
            "Decision",
            "NextBoot",
            "OnFailure",
            "PackagesAllowed",
            "Selection",
            "WatchWanted",
            "manifest",
            "secrets",
        ],
    ),
    ("report", "observe", &["Selection"]),
    ("cli", "observe", &["Flags", "Fragment", "Overrides"]),
];

/// What each room of `src/machine/` may name of the others: only rooms that stand further down, so that no arrow runs back
/// up. All of them know the door's own plain types (`Check`, `Change`, `now`).
const MACHINE: &[(&str, &[&str])] = &[
    ("children", &["release_cache", "npm_tree", "service", "registries", "git", "web", "jail", "process"]),
    ("attend", &["local", "survey", "service", "aws", "process", "disk"]),
    (
        "local",
        &[
            "survey",
            "versions",
            "fleet",
            "volume",
            "upkeep",
            "release_cache",
            "service",
            "container",
            "install",
            "git",
            "aws",
            "jail",
            "process",
            "disk",
        ],
    ),
    ("release_cache", &["install", "npm_tree", "aws", "jail", "process", "disk", "budget", "progress"]),
    ("survey", &["versions", "service", "jail", "process", "disk"]),
    ("versions", &["disk"]),
    ("fleet", &["service", "aws", "progress"]),
    ("volume", &["jail", "process", "disk", "progress"]),
    ("upkeep", &["install", "jail", "process", "disk", "progress"]),
    ("seal", &["install", "process", "disk"]),
    ("service", &["container", "install", "jail", "process", "disk", "retry", "budget", "progress"]),
    ("container", &["aws", "process", "disk", "progress"]),
    ("install", &["npm_tree", "registries", "git", "aws", "web", "jail", "process", "disk", "retry"]),
    ("npm_tree", &["web", "jail"]),
    ("registries", &["web", "jail", "disk"]),
    ("git", &["aws", "web", "jail", "process", "disk", "retry"]),
    ("aws", &["web", "process", "disk", "retry", "progress"]),
    ("web", &["jail", "disk"]),
    ("jail", &["process", "disk"]),
    ("process", &["disk"]),
    ("disk", &[]),
    ("retry", &["progress"]),
    ("budget", &[]),
    ("progress", &[]),
];

/// No disk, no network, no clock, no task.
const PURE: &[&str] = &["facts", "npm", "plan", "planner"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io",
    "std::process",
    "std::net",
    "std::env",
    "std::os",
    "std::thread",
    "Instant",
    "SystemTime",
    "tokio",
    "git2",
    "nix",
    "ureq",
    "sysinfo",
    "tempfile",
    "tracing",
    "async",
    "await",
    "unsafe",
];

/// The machine's own; elsewhere only where it is said here.
const FENCED: &[&str] = &[
    "std::fs",
    "std::process",
    "std::net",
    "std::env",
    "std::os",
    "tokio::fs",
    "tokio::process",
    "tokio::net",
    "git2",
    "nix",
    "ureq",
    "sysinfo",
    "tempfile",
    "aws_config",
    "aws_sdk_secretsmanager",
    "aws_sigv4",
    "aws_smithy_runtime",
    "unsafe",
];
const OUTSIDE: &[(&str, &str)] = &[
    ("cli.rs", "std::env"), // arguments and environment are its business
    ("cli.rs", "nix"),      // whether standard error is the journal
    ("main.rs", "std::process::ExitCode"),
    ("verbs/mod.rs", "std::process::ExitCode"),
];

const LONGEST: usize = 400;

struct Source {
    /// Relative to `src`.
    path: String,
    /// Without comments, strings and unit tests.
    code: String,
    lines: usize,
}

impl Source {
    /// `main`, `lib`, or the first directory or file under `src`.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// `planner/runtime/node.rs` is `planner::runtime::node`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').map(str::to_owned).collect()
    }

    /// Every path that begins at the crate's root, however it is written: `machine::Observe`.
    fn crate_paths(&self) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        let tokens = tokens(&self.code);
        let mut at = 0;
        while at < tokens.len() {
            let root = match tokens[at].as_str() {
                "crate" | "bootagent" => Some((Vec::new(), at + 1)),
                "super" => {
                    let mut base = self.module();
                    let mut next = at;
                    while tokens.get(next).is_some_and(|token| token == "super") {
                        base.pop();
                        next += if tokens.get(next + 1).is_some_and(|token| token == "::") { 2 } else { 1 };
                    }
                    Some((base, next - 1))
                }
                _ => None,
            };
            match root {
                Some((base, next)) if tokens.get(next).is_some_and(|token| token == "::") => {
                    at = tree(&tokens, next + 1, &base, &mut found);
                }
                Some((_, next)) => at = next.max(at + 1),
                None => at += 1,
            }
        }
        found.retain(|path| !path.is_empty());
        found
    }
}

/// Reads one use-tree (or plain path) from `at`; every leaf is a path. Returns where it ends.
fn tree(tokens: &[String], mut at: usize, base: &[String], found: &mut BTreeSet<Vec<String>>) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    match tokens[at].as_str() {
                        "," => at += 1,
                        "as" => at += 2,
                        "self" => {
                            found.insert(path.clone());
                            at += 1;
                        }
                        _ => at = tree(tokens, at, &path, found),
                    }
                }
                return at + 1;
            }
            Some(word) if word == "*" || is_word(word) => path.push(word.to_owned()),
            _ => return at,
        }
        at += 1;
        match tokens.get(at).map(String::as_str) {
            Some("::") => at += 1,
            _ => {
                found.insert(path);
                return at;
            }
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            c if c.is_whitespace() => {
                rest = rest.trim_start();
                continue;
            }
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        tokens.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    tokens
}

/// Takes out comments, the inside of string literals, and everything that is only compiled for tests.
fn strip(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let bytes: Vec<char> = text.chars().collect();
    let mut code = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        match rest {
            ['/', '/', ..] => at += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['r', '"', ..] | ['r', '#', '"', ..] => {
                let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
                let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let body = 2 + hashes;
                let end =
                    (body..rest.len()).find(|end| rest[*end..].starts_with(&close)).unwrap_or(rest.len());
                at += (end + close.len()).min(rest.len());
                code.push_str("\"\"");
            }
            ['"', ..] => {
                let mut end = 1;
                while end < rest.len() && rest[end] != '"' {
                    end += if rest[end] == '\\' { 2 } else { 1 };
                }
                at += (end + 1).min(rest.len());
                code.push_str("\"\"");
            }
            // A character literal, which may be a quote; a lifetime is none.
            ['\'', '\\', _, '\'', ..] => at += 4,
            ['\'', _, '\'', ..] => at += 3,
            [c, ..] => {
                code.push(*c);
                at += 1;
            }
            [] => break,
        }
    }
    code
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let code = if path.ends_with("tests.rs") { String::new() } else { strip(&text) };
        Source { path, code, lines: text.lines().count() }
    };
    found.into_iter().map(source).collect()
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => walk(&entry.path(), found),
            false if entry.path().extension().is_some_and(|kind| kind == "rs") => found.push(entry.path()),
            false => {}
        }
    }
}

/// Whether these tokens stand there one after the other.
fn names(tokens: &[String], path: &str) -> bool {
    let path = self::tokens(path);
    tokens.windows(path.len()).any(|window| window == path.as_slice()) || in_group(tokens, &path)
}

/// `use std::{fs, io}` names `std::fs`, too.
fn in_group(tokens: &[String], path: &[String]) -> bool {
    let [root, _, leaf] = path else { return false };
    tokens.windows(3).enumerate().any(|(at, window)| {
        window[0] == *root
            && window[1] == "::"
            && window[2] == "{"
            && tokens[at..].iter().take_while(|token| *token != ";").any(|token| token == leaf)
    })
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// From room to room, with one file as the proof.
fn arrows(sources: &[Source]) -> BTreeMap<(String, String), String> {
    let mut arrows = BTreeMap::new();
    for source in sources.iter().filter(|source| source.room() != "lib") {
        for path in source.crate_paths() {
            if path[0] != source.room() {
                arrows.insert((source.room().to_owned(), path[0].clone()), source.path.clone());
            }
        }
    }
    arrows
}

#[test]
fn rooms_know_only_whom_they_may() {
    let sources = sources();
    let rooms: BTreeSet<&str> = sources.iter().map(Source::room).filter(|room| *room != "lib").collect();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, known, "the rooms of src/ and those of ARROWS differ");
    let faults = arrows(&sources).into_iter().filter(|((from, to), _)| {
        !ARROWS.iter().any(|(room, may)| room == from && may.contains(&to.as_str()))
    });
    assert_none(faults.map(|((from, to), file)| format!("src/{file}: {from} must not name {to}")).collect());
}

#[test]
fn no_arrow_runs_in_a_circle() {
    let arrows = arrows(&sources());
    assert!(arrows.len() > 20, "hardly any import was found: is the reader of imports broken?");
    let mut left: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    // Again and again, take away the rooms that name no other, and those that no other names: what
    // cannot be taken stands in a circle, or between two.
    let bound = |room: &str, left: &BTreeSet<&str>| {
        let names = |(from, to): &(String, String)| from == room && left.contains(to.as_str());
        let named = |(from, to): &(String, String)| to == room && left.contains(from.as_str());
        arrows.keys().any(names) && arrows.keys().any(named)
    };
    while let Some(free) = left.iter().copied().find(|room| !bound(room, &left)) {
        left.remove(free);
    }
    assert!(left.is_empty(), "in a circle: {left:?}");
}

/// `disk` of `machine/disk/files.rs`, `local` of `machine/local.rs`; `None` of the door itself and of all other rooms.
fn room_of_machine(source: &Source) -> Option<&str> {
    let first = source.path.strip_prefix("machine/")?.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|room| *room != "mod")
}

/// What the door hands on of its rooms, by the names that `pub use` ends with.
fn handed_on(sources: &[Source]) -> BTreeSet<String> {
    let door = sources.iter().find(|source| source.path == "machine/mod.rs").unwrap();
    let tokens = tokens(&door.code);
    let mut found = BTreeSet::new();
    for at in (2..tokens.len()).filter(|at| tokens[at - 2..*at] == ["pub", "use"]) {
        tree(&tokens, at, &[], &mut found);
    }
    found.into_iter().filter_map(|path| path.last().cloned()).collect()
}

#[test]
fn rooms_of_the_machine_know_only_rooms_below_them() {
    let sources = sources();
    let rooms: Vec<&str> = MACHINE.iter().map(|(room, _)| *room).collect();
    let found: BTreeSet<&str> = sources.iter().filter_map(room_of_machine).collect();
    assert_eq!(
        found,
        rooms.iter().copied().collect(),
        "the rooms of src/machine/ and those of MACHINE differ"
    );
    let place = |room: &str| rooms.iter().position(|known| *known == room);
    let handed_on = handed_on(&sources);
    assert!(handed_on.contains("LocalHost") && handed_on.contains("Lock"), "{handed_on:?}");
    let (mut faults, mut unused) = (Vec::new(), BTreeSet::new());
    for (room, may) in MACHINE {
        unused.extend(may.iter().map(|to| (*room, *to)));
        faults.extend(
            may.iter()
                .filter(|to| place(to) <= place(room))
                .map(|to| format!("{room}: {to} is not below it")),
        );
    }
    for source in &sources {
        let Some(room) = room_of_machine(source) else { continue };
        let may = MACHINE.iter().find(|(known, _)| *known == room).map_or(&[][..], |(_, may)| *may);
        for path in source.crate_paths().iter().filter(|path| path[0] == "machine" && path.len() > 1) {
            let to = path[1].as_str();
            unused.retain(|known| *known != (room, to));
            if (place(to).is_some() && to != room && !may.contains(&to)) || handed_on.contains(to) {
                faults.push(format!("src/{}: {room} must not name machine::{to}", source.path));
            }
        }
    }
    faults.extend(unused.iter().map(|(room, to)| format!("{room} does not need {to} any more")));
    assert_none(faults);
}

#[test]
fn of_some_rooms_only_some_names_are_known() {
    let mut faults = Vec::new();
    for source in sources() {
        for (_, to, may) in NAMES.iter().filter(|(from, ..)| *from == source.room()) {
            for path in source.crate_paths().iter().filter(|path| path[0] == *to) {
                match path.get(1).map(String::as_str) {
                    Some(name) if may.contains(&name) => {}
                    name => faults.push(format!(
                        "src/{}: {} of {to} is not for {}",
                        source.path,
                        name.unwrap_or("the whole"),
                        source.room()
                    )),
                }
            }
        }
    }
    assert_none(faults);
}

/// What acts is named where plans are carried out, and nowhere else.
#[test]
fn only_the_interpreter_holds_a_host() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.room() != "machine") {
        let tokens = tokens(&source.code);
        if names(&tokens, "Host") && !["apply", "boot"].contains(&source.room()) {
            faults.push(format!("src/{} names Host", source.path));
        }
        if names(&tokens, ".act(") && source.room() != "apply" {
            faults.push(format!("src/{} acts", source.path));
        }
        if names(&tokens, "LocalHost") && source.room() != "verbs" {
            faults.push(format!("src/{} names LocalHost", source.path));
        }
    }
    assert_none(faults);
}

#[test]
fn pure_rooms_are_pure() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.room())) {
        let tokens = tokens(&source.code);
        let impure = IMPURE.iter().filter(|path| names(&tokens, path));
        faults.extend(impure.map(|path| format!("src/{}: {path} in a pure room", source.path)));
    }
    assert_none(faults);
}

#[test]
fn only_the_door_touches_the_machine() {
    let (mut faults, mut used) = (Vec::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| source.room() != "machine") {
        let mut code = source.code.clone();
        for (_, path) in OUTSIDE.iter().filter(|(file, _)| *file == source.path) {
            if names(&tokens(&code), path) {
                used.insert((source.path.clone(), *path));
            }
            code = code.replace(path, "");
        }
        let tokens = tokens(&code);
        let fenced = FENCED.iter().filter(|path| names(&tokens, path));
        faults.extend(fenced.map(|path| format!("src/{}: {path} is for src/machine only", source.path)));
    }
    let unused = OUTSIDE.iter().filter(|(file, path)| !used.contains(&((*file).to_owned(), *path)));
    faults.extend(
        unused
            .map(|(file, path)| format!("src/{file} does not need {path} any more: take it out of OUTSIDE")),
    );
    assert_none(faults);
}

#[test]
fn files_stay_small() {
    let long = sources().into_iter().filter(|source| source.lines > LONGEST);
    assert_none(long.map(|source| format!("src/{} has {} lines: why?", source.path, source.lines)).collect());
}

/// pytest takes two test files of one name for one module, and then runs neither: of all directories only `tests/run` sees both.
#[test]
fn names_of_test_files_are_distinct() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut seen: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    let mut faults = Vec::new();
    for directory in
        std::fs::read_dir(tests).unwrap().filter_map(|entry| std::fs::read_dir(entry.unwrap().path()).ok())
    {
        for path in directory.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_owned();
            if !name.to_string_lossy().starts_with("test_") || path.extension().is_none_or(|is| is != "py") {
                continue;
            }
            if let Some(other) = seen.insert(name, path.clone()) {
                faults.push(format!("{} and {} have the same name", other.display(), path.display()));
            }
        }
    }
    assert!(!seen.is_empty());
    assert_none(faults);
}

/// The reference and the code say the same of every error, and every code can be met.
#[test]
fn the_reference_of_errors_is_complete() {
    let reference =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/errors.md"))
            .unwrap();
    let rows: Vec<Vec<&str>> = reference
        .lines()
        .filter(|line| line.starts_with("| `E-"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let mut faults = Vec::new();
    for row in &rows {
        let name = row[0].trim_matches('`');
        if row.len() != 4 || row[2].len() < 10 {
            faults.push(format!("{name}: a row is code, exit, when and remedy"));
        }
        if !Code::ALL.iter().any(|code| code.name() == name) {
            faults.push(format!("{name} is in errors.md, but no code of the program"));
        }
    }
    let code_of_all: String = sources()
        .iter()
        .filter(|source| source.path != "error.rs")
        .map(|source| source.code.as_str())
        .collect();
    let tokens = tokens(&code_of_all);
    for code in Code::ALL {
        let of: Vec<_> = rows.iter().filter(|row| row[0].trim_matches('`') == code.name()).collect();
        match of.as_slice() {
            [row] if row.len() == 4 => {
                let (exit, remedy) = ((code.exit() as u8).to_string(), code.remedy());
                if row[1] != exit || row[3] != remedy {
                    faults.push(format!("{}: errors.md must say | {exit} | ... | {remedy} |", code.name()));
                }
            }
            _ => faults.push(format!("{} has {} rows in errors.md", code.name(), of.len())),
        }
        let of_a_fault = Fault::ALL.iter().any(|fault| fault.code() == *code);
        if !of_a_fault && !names(&tokens, &format!("Code::{code:?}")) {
            faults.push(format!("{} is never told", code.name()));
        }
    }
    assert_none(faults);
}

/// The tables of faults.md are those of src/fault/mod.rs, row by row, and every fault can be met.
#[test]
fn the_reference_of_faults_is_complete() {
    let reference =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/faults.md"))
            .unwrap();
    let written: Vec<&str> = reference.lines().filter(|line| line.starts_with("| `")).collect();
    let known: Vec<String> =
        Phase::ALL.iter().map(phase_row).chain(Fault::ALL.iter().map(fault_row)).collect();
    let mut faults = Vec::new();
    faults.extend(
        known.iter().filter(|row| !written.contains(&row.as_str())).map(|row| format!("missing: {row}")),
    );
    faults.extend(
        written
            .iter()
            .filter(|row| !known.iter().any(|known| known == *row))
            .map(|row| format!("in faults.md only: {row}")),
    );
    let code: String = sources()
        .iter()
        .filter(|source| source.path != "fault/mod.rs")
        .map(|source| source.code.clone())
        .collect();
    let tokens = tokens(&code);
    for fault in Fault::ALL.iter().filter(|fault| !names(&tokens, &format!("Fault::{fault:?}"))) {
        faults.push(format!("{} is never told", fault.name()));
    }
    for phase in Phase::ALL.iter().filter(|phase| !names(&tokens, &format!("Phase::{phase:?}"))) {
        let of_a_fault = Fault::ALL.iter().any(|fault| fault.phase() == *phase);
        if !of_a_fault {
            faults.push(format!("no step and no fault has the phase {}", phase.name()));
        }
    }
    assert_none(faults);
}

fn phase_row(phase: &Phase) -> String {
    let tries = if phase.tries() == 0 { "as time allows".to_owned() } else { phase.tries().to_string() };
    let set_by = phase.set_by().map_or("–".to_owned(), |key| format!("`{key}`"));
    format!("| `{}` | {} | {tries} | {set_by} |", phase.name(), phase.seconds())
}

fn fault_row(fault: &Fault) -> String {
    let then = if fault.is_retried() { "retry" } else { "stop" };
    let bound = if fault.is_retried() { fault.phase().name() } else { "–" };
    let (code, remedy) = (fault.code().name(), fault.code().remedy());
    format!("| `{}` | {} | {then} | {bound} | `{code}` | {remedy} |", fault.name(), fault.shows())
}

/// The fence is only as good as its reader of source text.
#[test]
fn imports_are_read_in_every_spelling() {
    let source = Source {
        path: "planner/runtime/node.rs".to_owned(),
        code: strip(
            "use crate::{error::{Code, Error}, facts};\nuse super::super::observe::Selection;\nuse super::Recipe;\n\
             // crate::hidden\nfn f() -> crate::plan::Plan { \"crate::quoted\"; crate::machine::now() }\n\
             use crate::secret::Secret as S;\n#[cfg(test)]\nmod tests { use crate::tested; }",
        ),
        lines: 0,
    };
    let paths: Vec<String> = source.crate_paths().iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "error::Code",
            "error::Error",
            "facts",
            "machine::now",
            "plan::Plan",
            "planner::observe::Selection",
            "planner::runtime::Recipe",
            "secret::Secret",
        ]
    );
    for (code, path, there) in [
        ("use std::{fmt, fs};", "std::fs", true),
        ("use std::fs::File;", "std::fs", true),
        ("std :: fs :: read(x)", "std::fs", true),
        ("use std::fmt; // std::fs", "std::fs", false),
        ("let fs = 1;", "std::fs", false),
        ("use tokio::time::sleep;", "tokio::fs", false),
    ] {
        assert_eq!(names(&tokens(&strip(code)), path), there, "{code}");
    }
}
