//! Packages of the distribution without which a Python package cannot be built or does not work, by its name. They come
//! with the service if the policy lets packages be installed; else the plan names them.

use super::distribution;
use super::found::{Found, Kind};
use super::interpreter::Chosen;
use super::requirements::Names;
use crate::facts::Source;
use crate::planner::packages::names;
use crate::planner::runtime::recipe::{ANY_VERSION, Need, RecipeInputs};

/// What a Python package takes. Those here that are built have no wheel for Linux in any version.
struct Takes {
    name: &'static str,
    /// With one of these beside it, it takes nothing.
    unless: &'static [&'static str],
    is_built: bool,
    packages: &'static [&'static str],
}

const fn built(name: &'static str, packages: &'static [&'static str]) -> Takes {
    Takes { name, unless: &[], is_built: true, packages }
}

const fn runs(name: &'static str, packages: &'static [&'static str]) -> Takes {
    Takes { name, unless: &[], is_built: false, packages }
}

const TABLE: &[Takes] = &[
    built("mysqlclient", &["default-libmysqlclient-dev", "pkg-config"]),
    runs("pdf2image", &["poppler-utils"]),
    Takes { unless: &["psycopg-binary", "psycopg-c"], ..runs("psycopg", &["libpq5"]) },
    built("psycopg-c", &["libpq-dev"]),
    built("psycopg2", &["libpq-dev"]),
    built("pycairo", &["libcairo2-dev", "pkg-config"]),
    runs("pydub", &["ffmpeg"]),
    built("uwsgi", &[]),
];

/// A Python that did not come with the distribution has its headers beside it, and needs those of C alone.
pub fn needs(
    inputs: &RecipeInputs,
    found: Option<&Found>,
    chosen: &Chosen,
    notes: &mut Vec<String>,
) -> Option<Need> {
    let found = found.filter(|_| inputs.manifest.install.is_none())?;
    let known = |takes: &&Takes| found.names.as_ref().is_some_and(|names| takes.by(names));
    let takes: Vec<&Takes> = TABLE.iter().filter(known).chain(git(inputs.source, found)).collect();
    let mut packages: Vec<String> = Vec::new();
    // Where no machine is known, as in `validate`.
    let is_any = chosen.version == ANY_VERSION;
    if takes.iter().any(|takes| takes.is_built) {
        let line = chosen.line();
        let is_theirs = chosen.program.starts_with("/usr/bin");
        let headers = match distribution::default(&inputs.facts.machine) == Some(line.as_str()) {
            _ if is_any => "python3-dev".to_owned(),
            _ if !is_theirs => "libc6-dev".to_owned(),
            true => "python3-dev".to_owned(),
            false => format!("python{line}-dev"),
        };
        packages.extend(["gcc".to_owned(), headers]);
    }
    for name in takes.iter().flat_map(|takes| takes.packages) {
        if !packages.iter().any(|known| known == name) {
            packages.push((*name).to_owned());
        }
    }
    if packages.is_empty() {
        return None;
    }
    let who = takes.iter().map(|takes| takes.name).collect::<Vec<_>>().join(", ");
    let what = packages.join(", ");
    if is_any {
        notes.push(format!("OS packages for {who}: {what}; a boot installs them if the policy allows it"));
        return None;
    }
    let machine = &inputs.facts.machine;
    let is_possible = inputs.packages.allowed && machine.package_manager().is_some();
    notes.push(match is_possible {
        true => {
            format!("OS packages are installed for {who}: {}", names::here(machine, &packages).join(", "))
        }
        false => format!(
            "{who}: the machine must have what Debian calls {what}; bootagent may not install it here"
        ),
    });
    is_possible.then_some(Need::Packages(packages))
}

/// A dependency that is fetched from a git repository is fetched by git itself.
fn git(source: &Source, found: &Found) -> Option<&'static Takes> {
    const GIT: &Takes = &runs("a dependency from git", &["git"]);
    let is_from_git = match found.kind {
        Kind::Uv => source.text(found.path).is_some_and(|text| text.contains("source = { git = ")),
        // Those that requirements.txt includes are among the evidence as well.
        Kind::Requirements => {
            let texts = source.evidence.iter().filter(|(path, _)| path.ends_with(".txt"));
            texts.flat_map(|(_, text)| text.lines()).any(|line| {
                line.split(" #").next().is_some_and(|line| line.contains("git+") && !line.starts_with('#'))
            })
        }
        _ => false,
    };
    is_from_git.then_some(GIT)
}

impl Takes {
    fn by(&self, names: &Names) -> bool {
        let has = |name: &str| names.contains(name);
        has(self.name) && !self.unless.iter().any(|name| has(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(names: &[&str]) -> Vec<&'static str> {
        let names: Names = names.iter().map(|name| (*name).to_owned()).collect();
        TABLE.iter().filter(|takes| takes.by(&names)).flat_map(|takes| takes.packages).copied().collect()
    }

    #[test]
    fn packages_are_known_by_the_names_of_what_takes_them() {
        assert_eq!(packages(&["psycopg2", "pydub", "flask"]), ["libpq-dev", "ffmpeg"]);
        assert_eq!(packages(&["psycopg"]), ["libpq5"]);
        assert_eq!(packages(&["psycopg", "psycopg-c"]), ["libpq-dev"]);
    }

    #[test]
    fn what_has_it_within_takes_nothing() {
        for names in [&["psycopg2-binary"][..], &["psycopg", "psycopg-binary"], &["flask"], &[]] {
            assert!(packages(names).is_empty(), "{names:?}");
        }
    }

    #[test]
    fn names_are_as_indexes_compare_them() {
        for takes in TABLE {
            assert_eq!(takes.name, super::super::requirements::normal(takes.name));
        }
    }
}
