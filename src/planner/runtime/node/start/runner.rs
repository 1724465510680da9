//! Programs that only run another one: package managers, `cross-env`, watchers. A start line is rewritten to what they
//! would run, so that no other process stands between systemd and the service. Pure.

use super::word::{Words, assignments};
use crate::error::{Code, Error, Result};
use crate::planner::runtime::node::package::Package;
use crate::secret::excerpt;

/// What a line becomes.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This line, without the runner.
    Line(String),
    /// A script of the root's package.json, with the arguments that follow.
    Script { name: String, arguments: String },
    /// A script of a workspace's package.json. The workspace is a name or a directory.
    Workspace { workspace: String, script: String, arguments: String },
    /// The line is not a runner's, or one that must stay.
    Stays,
}

/// A rewritten line, the variables in front of it, and a note if something of it is left out.
#[derive(Debug)]
pub struct Rewritten {
    pub next: Next,
    pub environment: Vec<(String, String)>,
    pub note: Option<String>,
}

impl Rewritten {
    fn to(next: Next) -> Rewritten {
        Rewritten { next, environment: Vec::new(), note: None }
    }

    fn line(line: impl Into<String>) -> Rewritten {
        Rewritten::to(Next::Line(line.into()))
    }

    fn noting(mut self, note: String) -> Rewritten {
        self.note = Some(note);
        self
    }
}

/// One step of rewriting. `has` says whether the repository's root has a file.
pub fn rewrite(words: &Words, package: &Package, has: &dyn Fn(&str) -> bool) -> Result<Rewritten> {
    let first = words.text(0);
    let rewritten = match first {
        "exec" => Rewritten::line(words.from(1)),
        "npm" => Rewritten::to(npm(words)),
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
        "bun" if matches!(words.text(1), "--watch" | "--hot") => {
            Rewritten::line(format!("bun {}", words.from(2))).noting(watches("bun"))
        }
        "bun" if words.text(1) == "x" => Rewritten::line(installed(words, 2)?),
        "npx" | "pnpx" | "bunx" => Rewritten::line(installed(words, 1)?),
        "cross-env" | "cross-env-shell" => {
            let (environment, at) = assignments(words, 1);
            Rewritten { environment, ..Rewritten::line(words.from(at)) }
        }
        "dotenv" | "env-cmd" | "dotenvx" => Rewritten::to(environment_file(words, has)),
        "nodemon" => nodemon(words, package),
        "node" => node(words),
        "pm2" | "pm2-runtime" => pm2(words)?,
        "tsx" if words.text(1) == "watch" => {
            Rewritten::line(format!("tsx {}", words.from(2))).noting(watches("tsx"))
        }
        "run-s" => Rewritten::to(in_turn(words, 1)),
        "npm-run-all" if matches!(words.text(1), "-s" | "--sequential" | "--serial") => {
            Rewritten::to(in_turn(words, 2))
        }
        "npm-run-all" if !words.text(1).starts_with('-') => Rewritten::to(in_turn(words, 1)),
        _ => Rewritten::to(Next::Stays),
    };
    Ok(rewritten)
}

fn watches(program: &str) -> String {
    format!(
        "the start line runs {program} to watch files; a release does not change, so its program is started without it"
    )
}

fn script(words: &Words, at: usize) -> Next {
    let arguments = words.from(at + 1);
    let arguments = arguments.strip_prefix("-- ").unwrap_or(arguments);
    let arguments = if arguments == "--" { "" } else { arguments };
    Next::Script { name: words.text(at).to_owned(), arguments: arguments.to_owned() }
}

/// `npm start`, `npm run NAME -- ARGUMENTS`, `npm start --workspace=NAME`.
fn npm(words: &Words) -> Next {
    const QUIET: &[&str] = &["-s", "--silent", "-q", "--quiet", "--no-update-notifier", "--loglevel=silent"];
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
            "-w" | "--workspace" | "-C" | "--prefix" => {
                workspace = Some(words.text(at).to_owned());
                at += 1;
            }
            _ if word.starts_with("--workspace=") => workspace = value("--workspace="),
            _ if word.starts_with("--prefix=") => workspace = value("--prefix="),
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
    while matches!(words.text(at), "-s" | "--silent" | "--quiet" | "-q") {
        at += 1;
    }
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
        "--filter" | "-F" | "-C" | "--dir" | "--cwd" => workspace(words.text(at + 1), at + 2),
        _ if word.starts_with("--filter=") => workspace(&word["--filter=".len()..], at + 1),
        "run" | "run-script" if package.scripts.contains_key(words.text(at + 1)) => script(words, at + 1),
        "run" => Next::Line(words.from(at + 1).to_owned()),
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
fn installed(words: &Words, mut at: usize) -> Result<String> {
    const ANSWERS: &[&str] = &["--yes", "-y", "--no", "--no-install", "-q", "--quiet", "--bun", "--"];
    while ANSWERS.contains(&words.text(at)) {
        at += 1;
    }
    match words.text(at) {
        name if !name.is_empty() && !name.starts_with('-') && !name.contains('@') => {
            Ok(words.from(at).to_owned())
        }
        _ => Err(unlocked()),
    }
}

fn unlocked() -> Error {
    let cause = "npx would fetch a package at each start, in a version that no lockfile names";
    Error::new(Code::ManifestInvalid, "resolving the start command", cause)
        .remedy("add the package to package.json's dependencies, and name its program itself in start")
}

/// `dotenv -e FILE -- PROGRAM`: the service's variables are in its environment already. A file that the commit has may
/// hold others, so then the runner stays.
fn environment_file(words: &Words, has: &dyn Fn(&str) -> bool) -> Next {
    let mut at = if words.text(0) == "dotenvx" && words.text(1) == "run" { 2 } else { 1 };
    let mut files = Vec::new();
    while at < words.len() {
        match words.text(at) {
            "-e" | "-f" | "--env-file" | "--file" => {
                files.push(words.text(at + 1));
                at += 2;
            }
            "--" => {
                at += 1;
                break;
            }
            word if word.starts_with('-') => at += 1,
            _ => break,
        }
    }
    let committed = |file: &&str| file.contains('/') || has(file);
    match files.iter().any(committed) || at >= words.len() {
        true => Next::Stays,
        false => Next::Line(words.from(at).to_owned()),
    }
}

fn nodemon(words: &Words, package: &Package) -> Rewritten {
    const WITH_VALUE: &[&str] =
        &["-e", "--ext", "-w", "--watch", "-i", "--ignore", "-d", "--delay", "-s", "--signal", "--config"];
    let mut at = 1;
    while words.text(at).starts_with('-') {
        match words.text(at) {
            "-x" | "--exec" => {
                let rest = words.from(at + 2);
                let line = format!("{} {rest}", words.text(at + 1));
                return Rewritten::line(line.trim()).noting(watches("nodemon"));
            }
            flag if WITH_VALUE.contains(&flag) => at += 2,
            _ => at += 1,
        }
    }
    let file = match words.text(at) {
        "" => package.main.as_deref().unwrap_or("index.js"),
        _ => words.from(at),
    };
    let is_typescript = [".ts", ".mts", ".cts"].iter().any(|end| words.text(at).ends_with(end));
    let runner = if !is_typescript {
        "node"
    } else if package.has("tsx") {
        "tsx"
    } else {
        "ts-node"
    };
    Rewritten::line(format!("{runner} {file}")).noting(watches("nodemon"))
}

/// Node without its watch mode, which lives on over a crashed program.
fn node(words: &Words) -> Rewritten {
    let is_watch = |word: &str| {
        word == "--watch" || word.starts_with("--watch-path=") || word == "--watch-preserve-output"
    };
    let options = (1..words.len()).take_while(|at| words.text(*at).starts_with('-'));
    if !options.clone().any(|at| is_watch(words.text(at))) {
        return Rewritten::to(Next::Stays);
    }
    let end = options.clone().last().unwrap_or(0) + 1;
    let kept = options.filter(|at| !is_watch(words.text(*at))).map(|at| words.raw(at));
    let line: Vec<&str> = ["node"].into_iter().chain(kept).chain([words.from(end)]).collect();
    Rewritten::line(line.join(" ")).noting(watches("node --watch"))
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
        let note = "the start line runs PM2; systemd restarts the service, so that its program is started without PM2";
        return Ok(Rewritten::line(format!("node {file}")).noting(note.to_owned()));
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
