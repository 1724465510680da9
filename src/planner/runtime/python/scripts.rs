//! The command that a project installs of itself: `[project.scripts]` of pyproject.toml.

use super::found::{Found, Kind};
use crate::facts::Source;

/// The one that it has, else the one that is called like the project. Only uv.lock installs the project itself.
pub fn only(source: &Source, found: Option<&Found>) -> Option<String> {
    found.filter(|found| found.kind == Kind::Uv)?;
    of(source.text("pyproject.toml")?)
}

/// Whether the project has such commands, of which none is started.
pub fn has_some(source: &Source) -> bool {
    let table = source.text("pyproject.toml").and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.get("project").is_some_and(|project| project.get("scripts").is_some()))
}

fn of(pyproject: &str) -> Option<String> {
    let table: toml::Table = pyproject.parse().ok()?;
    // Without a build system uv does not install it.
    table.get("build-system")?;
    let project = table.get("project")?;
    let scripts = project.get("scripts")?.as_table()?;
    let own = project.get("name")?.as_str()?;
    let name = match scripts.len() {
        1 => scripts.keys().next()?,
        _ => scripts.keys().find(|name| *name == own)?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // `-i` would be an option of the program that starts it.
    let starts_plainly = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (starts_plainly && name.chars().all(plain)).then(|| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &str = "[build-system]\nrequires = [\"uv_build\"]\n[project]\nname = \"shop\"\n";

    #[test]
    fn the_only_one_or_the_one_of_the_projects_name() {
        for (scripts, wanted) in [
            ("serve = \"shop:main\"", Some("serve")),
            ("shop = \"shop:main\"\nshop-admin = \"shop:admin\"", Some("shop")),
            ("a = \"shop:a\"\nb = \"shop:b\"", None),
            ("\"a; b\" = \"shop:a\"", None),
            ("\"-i\" = \"shop:a\"", None),
            ("", None),
        ] {
            assert_eq!(of(&format!("{BUILT}[project.scripts]\n{scripts}\n")).as_deref(), wanted, "{scripts}");
        }
        assert_eq!(of(BUILT), None);
    }

    #[test]
    fn a_project_that_is_not_installed_has_none() {
        let project = "[project]\nname = \"shop\"\n[project.scripts]\nshop = \"shop:main\"\n";
        assert_eq!(of(project), None);
        assert_eq!(of("not toml ="), None);
    }
}
