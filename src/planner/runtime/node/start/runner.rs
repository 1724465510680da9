//! Programs that only run another one: package managers, `cross-env`, watchers. A start line is rewritten to what they
//! would run, so that no other process stands between systemd and the service. Pure.

use super::project::Place;
use super::rewritten::{Next, Rewritten};
use super::word::Words;
use super::{provider, variables, watcher};
use crate::error::{Code, Error, Result};
use crate::planner::runtime::node::package::Package;
use crate::secret::excerpt;

/// One step of rewriting.
pub fn rewrite(words: &Words, place: &Place) -> Result<Rewritten> {
    let first = words.text(0);
    let package = place.package;
    if let Some(unwatched) = watcher::unwatched(words) {
        return Ok(unwatched);
    }
    let rewritten = match first {
        "exec" => Rewritten::line(words.from(1)),
        "npm" => Rewritten::to(npm(words)),
        "pnpm" if matches!(words.text(1), "-r" | "--recursive" | "recursive") => {
            Rewritten::to(in_each_workspace(words, 2))
        }
        "yarn" | "pnpm" => Rewritten::to(manager(words, package)?),
        "bun" if words.text(1) == "--filter" && !words.text(2).contains('*') => {
            Rewritten::to(manager(words, package)?)
        }
        "bun" if words.text(1) == "run" && words.text(2) == "--filter" && !words.text(3).contains('*') => {
            Rewritten::line(format!("bun {}", words.from(2)))
        }
        "bun" if words.text(1) == "run" && package.scripts.contains_key(words.text(2)) => {
            Rewritten::to(script(words, 2))
        }
        "bun" if words.text(1) == "x" => Rewritten::line(installed(words, 2, place)?),
        "npx" | "pnpx" | "bunx" => Rewritten::line(installed(words, 1, place)?),
        "cross-env" | "cross-env-shell" => variables::cross_env(words),
        "dotenv" | "env-cmd" | "dotenvx" => variables::of_files(words, place),
        "node" => variables::without_env_file(words, place),
        "nodemon" => watcher::nodemon(words, place),
        "pm2" | "pm2-runtime" => pm2(words)?,
        "turbo" => Rewritten::to(turbo(words)),
        "lerna" if words.text(1) == "run" => Rewritten::to(in_each_workspace(words, 2)),
        "run-s" => Rewritten::to(in_turn(words, 1)),
        "npm-run-all" if matches!(words.text(1), "-s" | "--sequential" | "--serial") => {
            Rewritten::to(in_turn(words, 2))
        }
        "npm-run-all" if !words.text(1).starts_with('-') => Rewritten::to(in_turn(words, 1)),
        _ => Rewritten::to(Next::Stays),
    };
    Ok(rewritten)
}

fn script(words: &Words, at: usize) -> Next {
    let arguments = words.from(at + 1);
    let arguments = arguments.strip_prefix("-- ").unwrap_or(arguments);
    let arguments = if arguments == "--" { "" } else { arguments };
    Next::Script { name: words.text(at).to_owned(), arguments: arguments.to_owned() }
}

/// Options that change nothing about what is run.
const QUIET: &[&str] =
    &["-s", "--silent", "-q", "--quiet", "--no-update-notifier", "--loglevel=silent", "--if-present"];

/// A directory that an option names is a path, never a workspace's name.
fn as_path(directory: &str) -> String {
    format!("./{}", directory.trim_start_matches("./"))
}

/// `npm start`, `npm run NAME -- ARGUMENTS`, `npm start --workspace=NAME`.
fn npm(words: &Words) -> Next {
    let (mut at, mut name, mut workspace, mut arguments) = (1, None, None, Vec::new());
    while at < words.len() {
        let word = words.text(at);
        let value = |flag: &str| word.strip_prefix(flag).map(str::to_owned);
        at += 1;
        match word {
            "--" => {
                arguments.push(words.from(at));
                break;
            }
            _ if QUIET.contains(&word) => {}
            "-w" | "--workspace" => {
                workspace = Some(words.text(at).to_owned());
                at += 1;
            }
            "-C" | "--prefix" => {
                workspace = Some(as_path(words.text(at)));
                at += 1;
            }
            _ if word.starts_with("--workspace=") => workspace = value("--workspace="),
            _ if word.starts_with("--prefix=") => workspace = value("--prefix=").as_deref().map(as_path),
            _ if word.starts_with('-') => return Next::Stays,
            "run" | "run-script" if name.is_none() => {
                while QUIET.contains(&words.text(at)) {
                    at += 1;
                }
                name = Some(words.text(at).to_owned());
                at += 1;
            }
            "start" if name.is_none() => name = Some("start".to_owned()),
            "exec" if name.is_none() => {
                let at = if words.text(at) == "--" { at + 1 } else { at };
                return Next::Line(words.from(at).to_owned());
            }
            _ if name.is_none() => return Next::Stays,
            _ => arguments.push(words.raw(at - 1)),
        }
    }
    let arguments = arguments.join(" ").trim().to_owned();
    match (name.filter(|name| !name.is_empty() && !name.starts_with('-')), workspace) {
        (Some(script), Some(workspace)) => Next::Workspace { workspace, script, arguments },
        (Some(name), None) => Next::Script { name, arguments },
        (None, _) => Next::Stays,
    }
}

/// `yarn NAME`, `pnpm run NAME`, `yarn workspace NAME SCRIPT`, `pnpm --filter NAME SCRIPT`.
fn manager(words: &Words, package: &Package) -> Result<Next> {
    let mut at = 1;
    let quiet = |mut at: usize| {
        while QUIET.contains(&words.text(at)) {
            at += 1;
        }
        at
    };
    at = quiet(at);
    let is_run = matches!(words.text(at), "run" | "run-script");
    if is_run && words.text(at + 1).starts_with('-') {
        let behind = quiet(at + 1);
        // `pnpm run --filter api start`
        at = if words.text(behind).starts_with('-') { behind } else { behind - 1 };
    }
    let is_run = is_run && !words.text(at).starts_with("--filter") && words.text(at) != "-F";
    let workspace = |name: &str, mut at: usize| {
        if words.text(at) == "run" {
            at += 1;
        }
        let Next::Script { name: script, arguments } = script(words, at) else { return Next::Stays };
        match script.is_empty() {
            true => Next::Stays,
            false => Next::Workspace { workspace: name.to_owned(), script, arguments },
        }
    };
    let word = words.text(at);
    Ok(match word {
        "workspace" => workspace(words.text(at + 1), at + 2),
        "--filter" | "-F" => workspace(words.text(at + 1), at + 2),
        "-C" | "--dir" | "--cwd" => workspace(&as_path(words.text(at + 1)), at + 2),
        _ if word.starts_with("--filter=") => workspace(&word["--filter=".len()..], at + 1),
        _ if is_run && package.scripts.contains_key(words.text(at + 1)) => script(words, at + 1),
        _ if is_run => Next::Line(words.from(at + 1).to_owned()),
        "exec" => Next::Line(words.from(if words.text(at + 1) == "--" { at + 2 } else { at + 1 }).to_owned()),
        "node" => Next::Line(words.from(at).to_owned()),
        "dlx" => return Err(unlocked()),
        "" => Next::Stays,
        _ if package.scripts.contains_key(word) => script(words, at),
        "start" => Next::Script { name: "start".to_owned(), arguments: String::new() },
        _ if word.starts_with('-') => Next::Stays,
        // Another command of the manager, or the program of an installed package.
        "install" | "add" | "build" | "recursive" | "-r" | "workspaces" | "test" => Next::Stays,
        _ => Next::Line(words.from(at).to_owned()),
    })
}

/// What npx would run of the packages that are installed. Of others it fetches the newest one at each start.
fn installed(words: &Words, mut at: usize, place: &Place) -> Result<String> {
    const ANSWERS: &[&str] = &["--yes", "-y", "--no", "--no-install", "-q", "--quiet", "--bun", "--"];
    while ANSWERS.contains(&words.text(at)) {
        at += 1;
    }
    let name = words.text(at);
    let is_name = !name.is_empty() && !name.starts_with('-') && !name.contains('@');
    match is_name && (provider::is_of_the_system(name) || provider::provider(name, place).is_some()) {
        true => Ok(words.from(at).to_owned()),
        false => Err(unlocked()),
    }
}

fn unlocked() -> Error {
    let cause = "npx would fetch a package at each start, in a version that no lockfile names";
    Error::new(Code::ManifestInvalid, "resolving the start command", cause)
        .remedy("add the package to package.json's dependencies, and name its program itself in start")
}

/// PM2 puts itself into the background, where systemd cannot see what becomes of the service.
fn pm2(words: &Words) -> Result<Rewritten> {
    if words.text(0) == "pm2" && words.text(1) != "start" {
        return Ok(Rewritten::to(Next::Stays));
    }
    let at = if words.text(1) == "start" { 2 } else { 1 };
    let file = words.text(at);
    let is_program = file.ends_with(".js") && !file.contains("ecosystem") && !file.contains(".config.");
    if is_program {
        let mut note = "the start line runs PM2; systemd restarts the service, so that its program is started without PM2".to_owned();
        if let Some(instances) = instances(words, at).filter(|instances| *instances != "1") {
            let instances = excerpt(instances);
            note += &format!(", once and not {instances} times: supervisor = \"pm2\" starts them all");
        }
        return Ok(Rewritten::line(pm2_program(words, at)).noting(note));
    }
    let stays = words.text(0) == "pm2-runtime" || (at..words.len()).any(|at| words.text(at) == "--no-daemon");
    if stays {
        let note = "the start line runs PM2, of which systemd only sees that it lives: supervisor = \"pm2\" checks its processes, too";
        return Ok(Rewritten::to(Next::Stays).noting(note.to_owned()));
    }
    let cause = "pm2 start puts the service into the background, and ends";
    Err(Error::new(Code::ManifestInvalid, "resolving the start command", cause).remedy(
        "add supervisor = \"pm2\" to bootagent.toml; or name the program itself: start = \"node server.js\"",
    ))
}

/// The value of `-i`.
fn instances<'a>(words: &Words<'a>, at: usize) -> Option<&'a str> {
    let own = (at..words.len()).take_while(|at| words.text(*at) != "--");
    own.into_iter().find_map(|at| match words.text(at) {
        "-i" | "--instances" => Some(words.text(at + 1)),
        word => word.strip_prefix("--instances=").or(word.strip_prefix("-i=")),
    })
}

/// `pm2 start server.js --node-args="--max-old-space-size=512" -- --flag x`.
fn pm2_program(words: &Words, at: usize) -> String {
    let mut parts = vec!["node"];
    for option in at + 1..words.len() {
        let word = words.text(option);
        match word {
            "--" => break,
            "--node-args" | "--interpreter-args" => parts.push(words.text(option + 1)),
            _ => {
                let joined = word.strip_prefix("--node-args=");
                parts.extend(joined.map(|arguments| arguments.trim_matches(['\'', '"'])));
            }
        }
    }
    parts.push(words.text(at));
    let dashes = (at..words.len()).find(|at| words.text(*at) == "--");
    parts.extend(dashes.map(|dashes| words.from(dashes + 1)));
    parts.join(" ").trim().to_owned()
}

/// `turbo run start --filter=api`: of one workspace, without turbo above it.
fn turbo(words: &Words) -> Next {
    let at = if words.text(1) == "run" { 2 } else { 1 };
    let others = (at + 1..words.len()).map(|at| words.text(at));
    let filters: Vec<&str> = others.clone().filter_map(|word| word.strip_prefix("--filter=")).collect();
    match (filters.as_slice(), words.text(at)) {
        ([one], script)
            if others.count() == 1 && !one.contains(['*', '{', '!']) && !script.starts_with('-') =>
        {
            let (workspace, script) = ((*one).to_owned(), script.to_owned());
            Next::Workspace { workspace, script, arguments: String::new() }
        }
        _ => Next::Stays,
    }
}

/// `pnpm -r start`, `pnpm -r --parallel run start`, `lerna run start --stream`: a script of each workspace that has it. A filter
/// may leave some of them out, and stays.
fn in_each_workspace(words: &Words, mut at: usize) -> Next {
    const ABOUT_OUTPUT: &[&str] = &["--parallel", "--stream", "--no-bail", "--if-present", "--silent", "-s"];
    let is_plain = |at: usize| ABOUT_OUTPUT.contains(&words.text(at));
    while is_plain(at) {
        at += 1;
    }
    if words.text(at) == "run" {
        at += 1;
    }
    let script = words.text(at).to_owned();
    let mut behind = at + 1;
    while is_plain(behind) {
        behind += 1;
    }
    let is_all = behind == words.len() && !script.is_empty() && !script.starts_with('-');
    match is_all && !matches!(script.as_str(), "exec" | "install" | "add" | "build" | "test") {
        true => Next::OnlyWorkspace { script, arguments: String::new() },
        false => Next::Stays,
    }
}

/// `run-s build serve`: one script after the other.
fn in_turn(words: &Words, at: usize) -> Next {
    let names: Vec<&str> = (at..words.len()).map(|at| words.text(at)).collect();
    let plain = |name: &&str| !name.starts_with('-') && !name.contains(['*', '{', ' ']);
    match names.is_empty() || !names.iter().all(plain) {
        true => Next::Stays,
        false => {
            let lines: Vec<String> = names.iter().map(|name| format!("npm run {name}")).collect();
            Next::Line(lines.join(" && "))
        }
    }
}

pub fn no_script(name: &str) -> Error {
    let cause = format!("package.json has no script \"{}\"", excerpt(name));
    Error::new(Code::ManifestInvalid, "resolving the start command", cause)
}
