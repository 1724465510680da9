//! Command lines of manifests and package.json scripts become argument vectors.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::shell::{self, Line, assignment};
use crate::error::{Code, Error, Result};
use crate::secret::excerpt;

/// How the service starts: a program with its arguments, and what its line set in front of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    pub argv: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// Whether the unit's main process is a shell or a package manager, and the service only its child.
    #[serde(skip)]
    pub is_wrapped: bool,
    /// Whether it tells systemd when it is ready.
    #[serde(skip)]
    pub notifies: bool,
}

/// `npm start` may lead to another script, and that to a third; more is a circle.
const MOST_HOPS: usize = 5;

/// Programs that start another one and stay beside it.
const WRAPPERS: &[&str] = &["npm", "npx", "pnpm", "pnpx", "yarn", "bun", "bunx", "corepack"];

/// The service's start line. A shell and npm make room for the service where that is possible: as its parents they
/// would take the SIGTERM that is meant for it.
pub fn start(line: &str, scripts: &BTreeMap<String, String>, node: &Path) -> Result<Start> {
    let mut line = line.trim().to_owned();
    let mut environment = BTreeMap::new();
    for _ in 0..=MOST_HOPS {
        if let Line::OneProgram { at } = shell::read(&line) {
            return replacing(&line, at, environment);
        }
        if shell::read(&line) == Line::Several {
            return Ok(shell_line(line, environment, true));
        }
        let mut words = line.split_whitespace().peekable();
        while let Some((name, value)) = words.peek().and_then(|word| assignment(word)) {
            environment.insert(name.to_owned(), value.to_owned());
            words.next();
        }
        let words: Vec<&str> = words.skip_while(|word| *word == "exec").collect();
        let next = match words.as_slice() {
            ["npm", rest @ ..] => script(rest, scripts)?,
            ["npx", rest @ ..] => Some(package_program(&rest.join(" "))?.to_owned()),
            _ => None,
        };
        match next {
            Some(next) => line = next,
            None => return program(&words, environment, node),
        }
    }
    Err(invalid("its npm scripts call each other in a circle")
        .remedy("name the program itself: start = \"node server.js\""))
}

/// The same for a runtime whose start lines are not npm's: every program is found through the unit's PATH.
pub fn line(line: &str) -> Result<Start> {
    start(line, &BTreeMap::new(), Path::new("/usr/bin/node"))
}

fn invalid(cause: impl std::fmt::Display) -> Error {
    Error::new(Code::ManifestInvalid, "resolving the start command", cause)
}

/// The line of the script that `npm start`, `npm run NAME` and the like stand for, with the arguments that follow;
/// nothing if npm itself must find it, in another directory for instance.
fn script(words: &[&str], scripts: &BTreeMap<String, String>) -> Result<Option<String>> {
    const QUIET: &[&str] = &["-s", "--silent", "-q", "--quiet", "--no-update-notifier"];
    let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let (before, after) = (&words[..end], words.get(end + 1..).unwrap_or_default());
    let mut before = before.iter().copied().filter(|word| !QUIET.contains(word));
    let name = match before.next() {
        Some("start") => "start",
        Some("run" | "run-script") => match before.next() {
            Some(name) => name,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let arguments: Vec<&str> = before.chain(after.iter().copied()).collect();
    let of_npm = |word: &&str| word.starts_with('-');
    if name.starts_with('-') || arguments[..arguments.len() - after.len()].iter().any(of_npm) {
        return Ok(None);
    }
    let script = scripts
        .get(name)
        .ok_or_else(|| invalid(format!("package.json has no script \"{}\"", excerpt(name))))?;
    Ok(Some(std::iter::once(script.trim()).chain(arguments).collect::<Vec<_>>().join(" ")))
}

/// The line of what npx would run of the packages that are installed. Of others it fetches the newest one at each start,
/// which no lockfile names.
fn package_program(line: &str) -> Result<&str> {
    const ANSWERS: &[&str] = &["--yes", "-y", "--no", "--no-install", "-q", "--quiet", "--"];
    let mut line = line.trim_start();
    while let Some((_, rest)) =
        line.split_once(char::is_whitespace).filter(|(first, _)| ANSWERS.contains(first))
    {
        line = rest.trim_start();
    }
    match line.split_whitespace().next() {
        Some(name) if !name.starts_with('-') && !name.contains('@') => Ok(line),
        _ => Err(invalid("npx would fetch a package at each start, in a version that no lockfile names")
            .remedy("add the package to package.json's dependencies, and name its program itself in start")),
    }
}

/// One program whose words a shell expands, and which then takes the shell's place.
fn replacing(line: &str, at: usize, environment: BTreeMap<String, String>) -> Result<Start> {
    let (assignments, program) = line.split_at(at);
    let program = program.strip_prefix("exec ").unwrap_or(program).trim_start();
    let program = match program.strip_prefix("npx").filter(|rest| rest.starts_with(char::is_whitespace)) {
        Some(rest) => package_program(rest)?,
        None => program,
    };
    let is_wrapped = program.split_whitespace().next().is_some_and(|first| WRAPPERS.contains(&first));
    Ok(shell_line(format!("{assignments}exec {program}"), environment, is_wrapped))
}

fn shell_line(line: String, environment: BTreeMap<String, String>, is_wrapped: bool) -> Start {
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), line];
    Start { argv, environment, is_wrapped, notifies: false }
}

fn program(words: &[&str], environment: BTreeMap<String, String>, node: &Path) -> Result<Start> {
    let all = || words.iter().map(|word| (*word).to_owned());
    let argv: Vec<String> = match words.first() {
        None => {
            return Err(
                invalid("there is no program in it").remedy("name the program: start = \"node server.js\"")
            );
        }
        Some(&"node") => std::iter::once(node.display().to_string()).chain(all().skip(1)).collect(),
        // Found through the unit's PATH, which begins with node_modules/.bin; env(1) becomes the program.
        Some(_) => std::iter::once("/usr/bin/env".to_owned()).chain(all()).collect(),
    };
    let is_wrapped = words.first().is_some_and(|word| WRAPPERS.contains(word));
    Ok(Start { argv, environment, is_wrapped, notifies: false })
}

/// An install or build line: its programs are found through the command's PATH.
pub fn line_argv(line: &str) -> Result<Vec<String>> {
    argv(line, Path::new("/usr/bin"))
}

/// An install or build line: a command of the runtime's by its whole path, or a shell's business.
pub fn argv(line: &str, bin: &Path) -> Result<Vec<String>> {
    let assigns = line.split_whitespace().next().is_some_and(|word| word.contains('='));
    if assigns || shell::read(line) != Line::Plain {
        return Ok(vec!["/bin/sh".to_owned(), "-ec".to_owned(), line.to_owned()]);
    }
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match words.first_mut() {
        None => return Err(Error::new(Code::ManifestInvalid, "resolving a command", "the command is empty")),
        Some(program) if matches!(program.as_str(), "node" | "npm" | "npx") => {
            *program = bin.join(&*program).display().to_string()
        }
        Some(_) => words.insert(0, "/usr/bin/env".to_owned()),
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(line: &str) -> Start {
        let scripts = [
            ("start", "node server.js"),
            ("dev", "npm run dev"),
            ("prod", "npm start"),
            ("set", "B=3 npm start"),
            ("quoted", "node 'server.js'"),
        ];
        let scripts = scripts.map(|(name, line)| (name.to_owned(), line.to_owned())).into();
        start(line, &scripts, Path::new("/n/bin/node")).unwrap()
    }

    #[test]
    fn plain_words_are_an_argument_vector() {
        assert_eq!(started("node server.js --port=3").argv, ["/n/bin/node", "server.js", "--port=3"]);
        assert_eq!(started("next start").argv, ["/usr/bin/env", "next", "start"]);
    }

    #[test]
    fn leading_assignments_become_environment() {
        let start = started("NODE_ENV=production A= node x.js B=c");
        assert_eq!(start.argv, ["/n/bin/node", "x.js", "B=c"]);
        assert_eq!(
            start.environment,
            [("NODE_ENV", "production"), ("A", "")].map(|(n, v)| (n.into(), v.into())).into()
        );
    }

    fn shell(line: &str, is_wrapped: bool) -> Start {
        shell_line(line.to_owned(), BTreeMap::new(), is_wrapped)
    }

    #[test]
    fn one_program_takes_its_shells_place() {
        for (line, run) in [
            ("node 'a b.js'", "exec node 'a b.js'"),
            ("A=$B node x", "A=$B exec node x"),
            ("A='x y' B=\"$C\" node x > log 2>&1", "A='x y' B=\"$C\" exec node x > log 2>&1"),
            ("exec node \"$X\"", "exec node \"$X\""),
        ] {
            assert_eq!(started(line), shell(run, false), "{line}");
        }
        assert_eq!(started("exec node server.js").argv, ["/n/bin/node", "server.js"]);
    }

    #[test]
    fn several_programs_are_a_shells_children() {
        for line in
            ["node a.js | tee log", "node a && node b", "npm run pre && npm start", "cd api; npm start"]
        {
            assert_eq!(started(line), shell(line, true), "{line}");
        }
    }

    #[test]
    fn npm_makes_room_for_the_service() {
        for line in [
            "npm run prod",
            "npm start",
            "npm run -s prod",
            "npm --silent start",
            "exec npm start",
            "npm start --",
        ] {
            let start = started(line);
            assert_eq!(start.argv, ["/n/bin/node", "server.js"], "{line}");
            assert!(!start.is_wrapped, "{line}");
        }
        assert_eq!(started("npm start -- --flag a").argv, ["/n/bin/node", "server.js", "--flag", "a"]);
        let start = started("A=1 B=2 npm run set");
        assert_eq!(start.argv, ["/n/bin/node", "server.js"]);
        assert_eq!(start.environment, [("A", "1"), ("B", "3")].map(|(n, v)| (n.into(), v.into())).into());
        assert_eq!(started("npm run quoted").argv[2], "exec node 'server.js'");
    }

    #[test]
    fn where_npm_must_find_the_script_it_stays_as_a_wrapper() {
        for line in [
            "npm --prefix api start",
            "npm -w api start",
            "npm start --workspace=api",
            "npm run",
            "yarn start",
        ] {
            let start = started(line);
            assert_eq!((start.argv[0].as_str(), start.is_wrapped), ("/usr/bin/env", true), "{line}");
        }
        assert!(started("npm --prefix \"$X\" start").is_wrapped);
    }

    #[test]
    fn npx_makes_room_for_an_installed_program_and_fetches_none() {
        for line in ["npx node server.js", "npx --yes node server.js", "npx --no-install -- node server.js"] {
            let start = started(line);
            assert_eq!(
                (start.argv, start.is_wrapped),
                (vec!["/n/bin/node".into(), "server.js".into()], false),
                "{line}"
            );
        }
        assert_eq!(started("npx next start").argv, ["/usr/bin/env", "next", "start"]);
        assert_eq!(started("A=1 npx -y next start \"$B\""), shell("A=1 exec next start \"$B\"", false));
        for line in [
            "npx serve@14 -s build",
            "npx serve@14 -s 'build'",
            "npx @acme/server \"$PORT\"",
            "npx @acme/server",
            "npx -p x y",
            "npx --package=x y",
            "npx",
        ] {
            let error = start(line, &BTreeMap::new(), Path::new("/n/bin/node")).unwrap_err().to_string();
            assert!(error.contains("no lockfile names"), "{line}: {error}");
        }
    }

    #[test]
    fn circles_missing_scripts_and_empty_lines_are_errors() {
        let scripts = BTreeMap::from([("dev".to_owned(), "npm run dev".to_owned())]);
        for (line, says) in
            [("npm run dev", "circle"), ("npm start", "no script"), ("A=b", "no program"), ("", "no program")]
        {
            let error = start(line, &scripts, Path::new("/n/bin/node")).unwrap_err().to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }

    #[test]
    fn install_lines_use_the_chosen_node() {
        let bin = Path::new("/n/bin");
        assert_eq!(argv("npm run build", bin).unwrap(), ["/n/bin/npm", "run", "build"]);
        assert_eq!(argv("tsc -p .", bin).unwrap(), ["/usr/bin/env", "tsc", "-p", "."]);
        assert_eq!(argv("A=1 npm ci", bin).unwrap(), ["/bin/sh", "-ec", "A=1 npm ci"]);
        assert!(argv("  ", bin).is_err());
    }
}
