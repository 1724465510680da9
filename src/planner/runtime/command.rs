//! Command lines of manifests and package.json scripts become argument vectors.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::shell::{self, Line, assignment};
use crate::error::{Code, Error, Result};

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
    /// The line of the manifest that starts the same, with what is built for it. None: the command itself.
    #[serde(skip)]
    pub written: Option<String>,
}

impl Start {
    /// For what is not started as a program.
    pub fn none() -> Start {
        Start {
            argv: Vec::new(),
            environment: BTreeMap::new(),
            is_wrapped: false,
            notifies: false,
            written: None,
        }
    }
}

/// Programs that start another one and stay beside it.
const WRAPPERS: &[&str] = &["npm", "npx", "pnpm", "pnpx", "yarn", "bun", "bunx", "corepack"];

/// The service's start line. A shell makes room for the service where that is possible: as its parent it would take the
/// SIGTERM that is meant for it. `node` is the program's path.
pub fn start(line: &str, node: &Path) -> Result<Start> {
    let line = line.trim();
    if line.contains('\0') {
        return Err(invalid("the line has a NUL character, which no argument of a program can have"));
    }
    match shell::read(line) {
        Line::OneProgram { at } => return Ok(replacing(line, at)),
        Line::Several => return Ok(several(line)),
        Line::Plain => {}
    }
    let mut environment = BTreeMap::new();
    let mut words = line.split_whitespace().peekable();
    while let Some((name, value)) = words.peek().and_then(|word| assignment(word)) {
        environment.insert(name.to_owned(), value.to_owned());
        words.next();
    }
    let words: Vec<&str> = words.skip_while(|word| *word == "exec").collect();
    program(&words, environment, node)
}

/// The same for a runtime of which every program is found through the unit's PATH.
pub fn line(line: &str) -> Result<Start> {
    start(line, Path::new("/usr/bin/node"))
}

fn invalid(cause: impl std::fmt::Display) -> Error {
    Error::new(Code::ManifestInvalid, "resolving the start command", cause)
}

/// One program whose words a shell expands, and which then takes the shell's place.
fn replacing(line: &str, at: usize) -> Start {
    let (assignments, program) = line.split_at(at);
    let program = program.strip_prefix("exec ").unwrap_or(program).trim_start();
    shell_line(format!("{assignments}exec {program}"), is_wrapper(program))
}

/// Of programs that run one after the other, the last one serves, and takes the shell's place.
fn several(line: &str) -> Start {
    let Some((last, before)) =
        shell::chain(line).and_then(|parts| Some((*parts.last()?, line.len() - parts.last()?.len())))
    else {
        return shell_line(line.to_owned(), true);
    };
    let assigns = last.split_whitespace().next().is_some_and(|word| assignment(word).is_some());
    let first = last.split_whitespace().next().unwrap_or_default();
    match assigns || shell::is_of_the_shell(first) {
        true => shell_line(line.to_owned(), true),
        false => {
            let program = last.strip_prefix("exec ").unwrap_or(last);
            shell_line(format!("{}exec {program}", &line[..before]), is_wrapper(program))
        }
    }
}

fn is_wrapper(program: &str) -> bool {
    program.split_whitespace().next().is_some_and(|first| WRAPPERS.contains(&first))
}

fn shell_line(line: String, is_wrapped: bool) -> Start {
    let environment = BTreeMap::new();
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), line];
    Start { argv, environment, is_wrapped, notifies: false, written: None }
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
    Ok(Start { argv, environment, is_wrapped, notifies: false, written: None })
}

/// An install or build line: its programs are found through the command's PATH.
pub fn line_argv(line: &str) -> Result<Vec<String>> {
    argv(line, Path::new("/usr/bin"), Path::new("/usr/bin"))
}

/// An install or build line: a command of the runtime's by its whole path, or a shell's business. `bin` has node, `npm` the
/// npm that is used.
pub fn argv(line: &str, bin: &Path, npm: &Path) -> Result<Vec<String>> {
    let assigns = line.split_whitespace().next().is_some_and(|word| word.contains('='));
    if assigns || shell::read(line) != Line::Plain {
        return Ok(vec!["/bin/sh".to_owned(), "-ec".to_owned(), line.to_owned()]);
    }
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match words.first_mut() {
        None => return Err(Error::new(Code::ManifestInvalid, "resolving a command", "the command is empty")),
        Some(program) if program == "npm" => *program = npm.join("npm").display().to_string(),
        Some(program) if matches!(program.as_str(), "node" | "npx") => {
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
        start(line, Path::new("/n/bin/node")).unwrap()
    }

    #[test]
    fn a_nul_character_is_refused() {
        assert!(line("node server.js\0x").is_err() && line("node a.js && node \0").is_err());
        assert!(line("node server.js").is_ok());
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
        shell_line(line.to_owned(), is_wrapped)
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
    fn the_last_of_several_programs_takes_the_shells_place() {
        for (line, run) in [
            ("node a && node b", "node a && exec node b"),
            ("prisma migrate deploy && node 'b c'", "prisma migrate deploy && exec node 'b c'"),
            ("a && exec b", "a && exec b"),
        ] {
            assert_eq!(started(line), shell(run, false), "{line}");
        }
        for line in ["node a.js | tee log", "cd api; npm start", "a && B=1 b", "a && cd b", "a || b"] {
            assert_eq!(started(line), shell(line, true), "{line}");
        }
        assert!(started("a && npm start").is_wrapped);
    }

    #[test]
    fn lines_without_a_program_are_errors() {
        for line in ["A=b", "", "exec"] {
            let error = start(line, Path::new("/n/bin/node")).unwrap_err().to_string();
            assert!(error.contains("no program"), "{line}: {error}");
        }
    }

    #[test]
    fn install_lines_use_the_chosen_node() {
        let bin = Path::new("/n/bin");
        let argv = |line: &str, bin: &Path| super::argv(line, bin, bin);
        assert_eq!(argv("npm run build", bin).unwrap(), ["/n/bin/npm", "run", "build"]);
        assert_eq!(argv("tsc -p .", bin).unwrap(), ["/usr/bin/env", "tsc", "-p", "."]);
        assert_eq!(argv("A=1 npm ci", bin).unwrap(), ["/bin/sh", "-ec", "A=1 npm ci"]);
        assert!(argv("  ", bin).is_err());
        let npm = Path::new("/npm/bin");
        assert_eq!(super::argv("npm run build", bin, npm).unwrap(), ["/npm/bin/npm", "run", "build"]);
        assert_eq!(super::argv("npx tsc", bin, npm).unwrap(), ["/n/bin/npx", "tsc"]);
        assert_eq!(super::argv("node x", bin, npm).unwrap(), ["/n/bin/node", "x"]);
    }
}
