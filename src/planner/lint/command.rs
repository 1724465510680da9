//! Commands of a recipe as a person would type them. A recipe has paths of programs, and a shell where one is needed.

use super::super::runtime::Recipe;
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

/// The start command, with the variables that its line sets in front of it. npm's own are left out.
pub fn started(recipe: &Recipe) -> String {
    let set = recipe.start.environment.iter().filter(|(name, _)| !name.starts_with("npm_package_"));
    let set: String = set.map(|(name, value)| format!("{name}={value} ")).collect();
    plain(&(set + &typed(&recipe.start.argv)))
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
}
