//! Which Python the files of version managers and hosts ask for.

use crate::facts::Source;
use crate::planner::runtime::tool_files::{self, Said};

pub const PYTHON_VERSION: &str = ".python-version";
const RUNTIME: &str = "runtime.txt";

/// What each of them asks for, from the most explicit to the least.
pub fn wishes(source: &Source) -> Vec<(String, &'static str)> {
    let read =
        |path: &'static str, version: fn(&str) -> Option<String>| Some((version(source.text(path)?)?, path));
    let tools = tool_files::versions(source, &["python"]).into_iter().filter_map(|(said, path)| match said {
        Said::Version(version) => Some((version, path)),
        Said::Unclear(_) => None,
    });
    let first = read(PYTHON_VERSION, of_python_version).into_iter();
    let all = first.chain(tools).chain(read(RUNTIME, of_runtime));
    all.map(|(version, path)| (plain(&version), path)).collect()
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
        let (python, runtime) = (of_python_version, of_runtime);
        let forms: [(Read, &str, &str); 4] = [
            (python, "# for all\n\n3.11.4 # as in production\n", "3.11.4"),
            (python, "cpython-3.12\n3.11\n", "cpython-3.12"),
            (runtime, "python-3.11.4\n", "3.11.4"),
            (runtime, "3.11\n", "3.11"),
        ];
        for (read, text, wanted) in forms {
            assert_eq!(read(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn the_files_count_in_this_order() {
        let mut files = vec![
            ("runtime.txt", "python-3.9"),
            (".tool-versions", "nodejs 22.1.0\npython 3.10.1 3.8.1 # older\n"),
            (".mise.toml", "[tools]\npython = [\"3.11\", \"3.10\"]\n"),
            ("mise.toml", "[tools]\npython = { version = \"3.12\", virtualenv = \".venv\" }\n"),
            (".python-version", "3.13\n"),
        ];
        let first = |files: &[(&str, &str)]| wishes(&crate::facts::testing::source(files)).swap_remove(0);
        for (version, path) in [
            ("3.13", ".python-version"),
            ("3.12", "mise.toml"),
            ("3.11", ".mise.toml"),
            ("3.10.1", ".tool-versions"),
            ("3.9", "runtime.txt"),
        ] {
            assert_eq!(first(&files), (version.to_owned(), path));
            files.pop();
        }
        let odd = [("mise.toml", "not toml ="), (".tool-versions", "python-poetry 1.8\n")];
        assert!(wishes(&crate::facts::testing::source(&odd)).is_empty());
    }

    #[test]
    fn what_asks_for_no_python_is_passed_over() {
        let forms: [(Read, &str); 3] =
            [(of_python_version, "\n# 3.11\n"), (of_runtime, "nodejs18\n"), (of_runtime, "")];
        for (read, text) in forms {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(plain("latest"), "*");
        assert_eq!(plain("cpython-3.12"), "3.12");
    }
}
