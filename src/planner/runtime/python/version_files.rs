//! Which Python the files of version managers and hosts ask for.

use crate::facts::Source;

pub const PYTHON_VERSION: &str = ".python-version";
const TOOL_VERSIONS: &str = ".tool-versions";
const MISE: [&str; 2] = ["mise.toml", ".mise.toml"];
const RUNTIME: &str = "runtime.txt";

/// What each of them asks for, from the most explicit to the least.
pub fn wishes(source: &Source) -> Vec<(String, &'static str)> {
    let read =
        |path: &'static str, version: fn(&str) -> Option<String>| Some((version(source.text(path)?)?, path));
    let [mise, hidden_mise] = MISE;
    let all = [
        read(PYTHON_VERSION, of_python_version),
        read(mise, of_mise),
        read(hidden_mise, of_mise),
        read(TOOL_VERSIONS, of_tool_versions),
        read(RUNTIME, of_runtime),
    ];
    all.into_iter().flatten().map(|(version, path)| (plain(&version), path)).collect()
}

/// `latest` and `system` are any version: the newest one that is there is taken.
fn plain(version: &str) -> String {
    match version {
        "latest" | "system" => "*".to_owned(),
        version => version.strip_prefix("cpython-").unwrap_or(version).to_owned(),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty())
}

fn of_python_version(text: &str) -> Option<String> {
    lines(text).next().map(str::to_owned)
}

/// asdf's: a tool and its versions on each line, the preferred version first.
fn of_tool_versions(text: &str) -> Option<String> {
    lines(text).find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|tool| *tool == "python")?;
        words.next().map(str::to_owned)
    })
}

/// A version, several of which the first is preferred, or a table with the version and options.
fn of_mise(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    let python = table.get("tools")?.get("python")?;
    let python = python.as_array().map_or(Some(python), |several| several.first())?;
    let version = python.get("version").unwrap_or(python);
    version.as_str().map(str::to_owned)
}

/// Heroku's `python-3.11.4`. Other programs have a file of that name, too.
fn of_runtime(text: &str) -> Option<String> {
    let line = lines(text).next()?;
    let version = line.strip_prefix("python-").unwrap_or(line);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = fn(&str) -> Option<String>;

    #[test]
    fn each_file_has_its_own_form() {
        let (python, tools, mise, runtime) = (of_python_version, of_tool_versions, of_mise, of_runtime);
        let forms: [(Read, &str, &str); 10] = [
            (python, "# for all\n\n3.11.4 # as in production\n", "3.11.4"),
            (python, "cpython-3.12\n3.11\n", "cpython-3.12"),
            (tools, "nodejs 22.1.0\npython 3.9.23 3.8.1 # older\n", "3.9.23"),
            (tools, "python\t3.12\n", "3.12"),
            (mise, "[tools]\npython = \"3.10\"\nuv = \"latest\"\n", "3.10"),
            (mise, "[tools]\npython = [\"3.13\", \"3.12\"]\n", "3.13"),
            (mise, "[tools]\npython = { version = \"3.12\", virtualenv = \".venv\" }\n", "3.12"),
            (mise, "[tools.python]\nversion = \"3.12\"\n", "3.12"),
            (runtime, "python-3.11.4\n", "3.11.4"),
            (runtime, "3.11\n", "3.11"),
        ];
        for (read, text, wanted) in forms {
            assert_eq!(read(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_asks_for_no_python_is_passed_over() {
        let forms: [(Read, &str); 8] = [
            (of_python_version, "\n# 3.11\n"),
            (of_tool_versions, "nodejs 22.1.0\n# python 3.12\npython-poetry 1.8\n"),
            (of_tool_versions, "python\n"),
            (of_mise, "[tools]\nnode = \"22\"\n"),
            (of_mise, "[tools]\npython = []\n"),
            (of_mise, "not toml ="),
            (of_runtime, "nodejs18\n"),
            (of_runtime, ""),
        ];
        for (read, text) in forms {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(plain("latest"), "*");
        assert_eq!(plain("cpython-3.12"), "3.12");
    }
}
