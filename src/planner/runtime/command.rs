//! Command lines of manifests and package.json scripts become argument vectors.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::error::{Code, Error, Result};
use crate::secret::excerpt;

/// How the service starts: a program with its arguments, and what its line set in front of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    pub argv: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

/// What a shell would do something with. Without any of these, a line is its words.
const SHELL_SYNTAX: &[char] = &[
    '|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '#', '~', '{', '}',
    '!', '\n',
];

/// `npm start` may lead to another script, and that to a third; more is a circle.
const MOST_HOPS: usize = 5;

/// The service's start line. npm is never its parent: it would swallow signals and stay in memory.
pub fn start(line: &str, scripts: &BTreeMap<String, String>, node: &Path) -> Result<Start> {
    let mut line = line.trim();
    for _ in 0..MOST_HOPS {
        match script_of(line) {
            None => return plain(line, node),
            Some(name) => {
                line = scripts.get(name).map(|script| script.trim()).ok_or_else(|| {
                    Error::new(
                        Code::ManifestInvalid,
                        "resolving the start command",
                        format!("package.json has no script \"{}\"", excerpt(name)),
                    )
                })?;
            }
        }
    }
    Err(Error::new(
        Code::ManifestInvalid,
        "resolving the start command",
        "its npm scripts call each other in a circle",
    )
    .remedy("name the program itself: start = \"node server.js\""))
}

/// The script that `npm start`, `npm run NAME` and the like stand for.
fn script_of(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["npm", "start"] => Some("start"),
        ["npm", "run" | "run-script", name] => Some(name),
        _ => None,
    }
}

fn plain(line: &str, node: &Path) -> Result<Start> {
    if line.contains(SHELL_SYNTAX) {
        let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()];
        return Ok(Start { argv, environment: BTreeMap::new() });
    }
    let mut words = line.split_whitespace().peekable();
    let mut environment = BTreeMap::new();
    while let Some((name, value)) = words.peek().and_then(|word| assignment(word)) {
        environment.insert(name.to_owned(), value.to_owned());
        words.next();
    }
    let argv: Vec<String> = words.map(str::to_owned).collect();
    match argv.first().map(String::as_str) {
        None => {
            Err(Error::new(Code::ManifestInvalid, "resolving the start command", "there is no program in it")
                .remedy("name the program: start = \"node server.js\""))
        }
        Some("node") => {
            let argv = std::iter::once(node.display().to_string()).chain(argv.into_iter().skip(1)).collect();
            Ok(Start { argv, environment })
        }
        // Found through the unit's PATH, which begins with node_modules/.bin; env(1) becomes the program.
        Some(_) => {
            Ok(Start { argv: std::iter::once("/usr/bin/env".to_owned()).chain(argv).collect(), environment })
        }
    }
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let legal = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    legal.then_some((name, value))
}

/// An install or build line: a command of the runtime's by its whole path, or a shell's business.
pub fn argv(line: &str, bin: &Path) -> Result<Vec<String>> {
    if line.contains(SHELL_SYNTAX) || line.split_whitespace().next().is_some_and(|word| word.contains('=')) {
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
        let scripts = [("start", "node server.js"), ("dev", "npm run dev"), ("prod", "npm start")];
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

    #[test]
    fn shell_syntax_is_left_to_a_shell() {
        for line in ["node a.js | tee log", "A=$B node x", "node 'a b.js'", "node a && node b"] {
            assert_eq!(started(line).argv, ["/bin/sh", "-c", line]);
        }
    }

    #[test]
    fn npm_is_never_the_parent() {
        assert_eq!(started("npm run prod").argv, ["/n/bin/node", "server.js"]);
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
