//! A program that needs nothing but Python: its repository lists no packages, and none is missed. Where a server or a
//! framework would have to be installed, the list is missing instead.

use super::start;
use crate::facts::{Evidence, Source};
use crate::planner::runtime::recipe::RecipeInputs;

/// Lists of packages that are not installed from: they are there, so the program needs some.
const LISTS: [&str; 4] = ["Pipfile", "setup.py", "setup.cfg", "environment.yml"];

/// The file that shows it: a pyproject.toml without dependencies, else the program itself.
pub fn shown_by(inputs: &RecipeInputs) -> Option<&'static str> {
    let source = inputs.source;
    let program = start::alone(inputs)?;
    match source.evidence_of("pyproject.toml") {
        _ if lists_packages(source) => None,
        Evidence::Absent => Some(program),
        Evidence::Text(text) if needs_nothing(text) => Some("pyproject.toml"),
        _ => None,
    }
}

/// `requirements/` and `requirements-dev.txt` are lists as well: which one is meant is not known.
fn lists_packages(source: &Source) -> bool {
    LISTS.iter().any(|path| source.has(path))
        || source.entries.iter().any(|entry| entry.path.starts_with("requirements"))
}

/// A project with a build system is installed itself, and that needs packages.
fn needs_nothing(pyproject: &str) -> bool {
    let Ok(table) = pyproject.parse::<toml::Table>() else { return false };
    let empty = |value: Option<&toml::Value>| {
        value.is_none_or(|value| value.as_array().is_some_and(|list| list.is_empty()))
    };
    let project = table.get("project");
    let project_empty =
        project.is_none_or(|project| empty(project.get("dependencies")) && project.get("dynamic").is_none());
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry")?.get("dependencies")?.as_table());
    let poetry_empty = poetry.is_none_or(|table| table.keys().all(|name| name == "python"));
    table.get("build-system").is_none() && project_empty && poetry_empty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_without_dependencies_needs_nothing() {
        for text in [
            "",
            "[tool.black]\nline-length = 100\n",
            "[project]\nname = \"x\"\nrequires-python = \">=3.10\"\n",
            "[project]\nname = \"x\"\ndependencies = []\n[dependency-groups]\ndev = [\"pytest\"]\n",
            "[tool.poetry.dependencies]\npython = \"^3.10\"\n",
        ] {
            assert!(needs_nothing(text), "{text}");
        }
    }

    #[test]
    fn a_project_with_any_or_with_a_build_system_does() {
        for text in [
            "[project]\ndependencies = [\"flask\"]\n",
            "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n",
            "[tool.poetry.dependencies]\npython = \"^3.10\"\nflask = \"*\"\n",
            "[project]\nname = \"x\"\n[build-system]\nrequires = [\"setuptools\"]\n",
            "not toml =",
        ] {
            assert!(!needs_nothing(text), "{text}");
        }
    }
}
