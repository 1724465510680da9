//! Commands of a recipe as a person would type them. A recipe has paths of programs, and a shell where one is needed.

use super::super::runtime::{Start, quoted};
use super::plain;

/// `/usr/bin/env yarn install` is `yarn install`, `/node/bin/npm ci` is `npm ci`.
pub fn typed(argv: &[String]) -> String {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    plain(&match words.as_slice() {
        ["/bin/sh", "-c" | "-ec", line] => without_exec(line),
        ["/usr/bin/env", rest @ ..] => rest.join(" "),
        [_, "-I", script, rest @ ..] if script.ends_with("/python-install.py") => of_python(rest),
        [program, rest @ ..] => {
            let program = program.rsplit('/').next().unwrap_or_default();
            [program].into_iter().chain(rest.iter().copied()).collect::<Vec<_>>().join(" ")
        }
        [] => String::new(),
    })
}

/// A start command, with the variables that its line sets in front of it. npm's own are left out.
pub fn started(start: &Start) -> String {
    let set = start.environment.iter().filter(|(name, _)| !name.starts_with("npm_package_"));
    let set: String = set.map(|(name, value)| format!("{name}={} ", quoted(value))).collect();
    plain(&(set + &typed(&start.argv)))
}

/// A planned line lets the program take the shell's place.
fn without_exec(line: &str) -> String {
    match line.strip_prefix("exec ") {
        Some(rest) => rest.to_owned(),
        None => line.replacen(" exec ", " ", 1),
    }
}

/// What the script for Python's packages does, in the words of the tools that most people use for it.
fn of_python(words: &[&str]) -> String {
    match words {
        ["uv", ..] => "uv sync --locked --no-dev".to_owned(),
        ["requirements", path, ..] => format!("pip install -r {path}"),
        ["compile", ..] => "python -m compileall .".to_owned(),
        ["venv", ..] => "python -m venv .venv".to_owned(),
        [_, path, ..] => format!("pip install, exactly what {path} says"),
        _ => words.join(" "),
    }
}

/// The words of a command, also where an operator of the shell stands beside one.
pub fn words(line: &str) -> Vec<&str> {
    let is_between = |c: char| c.is_whitespace() || "();|".contains(c);
    line.split(is_between)
        .map(|word| word.trim_matches(['\'', '"']))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Options and variables whose value is an address to listen on.
const ADDRESSES: &[&str] = &[
    "--host",
    "--hostname",
    "--bind",
    "--listen",
    "--address",
    "--addr",
    "-H",
    "-b",
    "-l",
    "-a",
    "HOST",
    "HOSTNAME",
];

/// Options and variables with their values: `--port 3000`, `--port=3000`, `PORT=3000`.
fn options<'a>(words: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let joined = words.iter().filter_map(|word| word.split_once('='));
    joined.chain(words.windows(2).map(|pair| (pair[0], pair[1])))
}

/// The addresses on which a command says that it listens, each with its option.
pub fn addresses(line: &str) -> Vec<(String, String)> {
    let words = words(line);
    let found = options(&words).filter(|(option, _)| ADDRESSES.contains(option));
    found.map(|(option, value)| (option.to_owned(), value.to_owned())).collect()
}

/// The port on which a command says that it listens: `--port 3000`, `-p3000`, `--bind 0.0.0.0:3000`.
pub fn port(line: &str) -> Option<u16> {
    let words = words(line);
    let is_port = |option: &str| {
        let name = option.trim_start_matches('-');
        let is_option =
            option.starts_with('-') && (name == "port" || name.ends_with("-port") || name.ends_with("Port"));
        is_option || option == "-p" || option == "PORT"
    };
    let named = options(&words).filter(|(option, _)| is_port(option)).map(|(_, value)| value);
    let short = words.iter().filter_map(|word| word.strip_prefix("-p"));
    let addresses = addresses(line);
    let of_address =
        addresses.iter().filter_map(|(_, address)| address.rsplit_once(':')).map(|(_, port)| port);
    named.chain(short).chain(of_address).find_map(|port| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> String {
        typed(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn commands_are_shown_as_they_are_typed() {
        for (argv, shown) in [
            (&["/usr/bin/env", "yarn", "install"][..], "yarn install"),
            (&["/node/bin/npm", "ci"], "npm ci"),
            (&["/bin/sh", "-c", "exec node x > log"], "node x > log"),
            (&["/bin/sh", "-c", "cd 'apps/api' && exec node x"], "cd 'apps/api' && node x"),
            (&["/bin/sh", "-ec", "a && b"], "a && b"),
            (
                &["/p/bin/python", "-I", "/opt/s/python-install.py", "requirements", "requirements.txt"],
                "pip install -r requirements.txt",
            ),
            (&["/p/bin/python", "-I", "/opt/s/python-install.py", "venv"], "python -m venv .venv"),
        ] {
            assert_eq!(of(argv), shown, "{argv:?}");
        }
    }

    #[test]
    fn a_terminal_s_commands_are_not_among_them() {
        assert_eq!(of(&["/bin/sh", "-c", "node \u{1b}[2Jx\u{202e}\nb"]), "node x b");
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn the_port_of_a_command_is_found() {
        for line in [
            "next start -p 3000",
            "next start -p3000",
            "vite --port 3000",
            "x --port=3000 --y",
            "cd web && PORT=3000 node x.js | tee log",
            "serve -l tcp://0.0.0.0:3000",
            "gunicorn -b 0.0.0.0:3000 app:app",
            "x --listen-port=3000",
        ] {
            assert_eq!(port(line), Some(3000), "{line}");
        }
        for line in [
            "node server.js",
            "node x --redis localhost:6379",
            "node x --export 3000",
            "node x --port ${PORT:-3000}",
            "node x --max-old-space-size=3000",
            "REDIS_URL=redis://cache:6379 node x",
        ] {
            assert_eq!(port(line), None, "{line}");
        }
    }
}
