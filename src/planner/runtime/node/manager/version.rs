//! The version of a package manager that a commit requests, where `packageManager` names none: by Volta, mise, asdf or
//! `engines`. It counts only if that version reads the lockfile. Pure.

use nodejs_semver::{Range, Version};

use super::rows::{BUN, Manager, NPM, PNPM, YARN_BERRY, YARN_CLASSIC};
use crate::facts::Source;
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::tool_files::{self, Said};
use crate::secret::excerpt;

/// In bytes. A longer text is not a version, and would take long to parse.
const LONGEST: usize = 100;

/// What a commit's requests come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Requested {
    /// The usual version is good: nothing is requested, or it fits.
    Usual,
    /// This one, and who requests it. Exact, if the request names it and not a range.
    Version { version: String, is_exact: bool, by: String },
    /// The request cannot be met, for the reason in this note.
    Unmet(String),
}

/// The first request that is a version or a range. `usual` is the version that is taken without one; of npm it is empty:
/// the version that comes with Node is not known here.
pub fn requested(manager: &Manager, usual: &str, source: &Source, package: &Package) -> Requested {
    let requests = requests(manager, source, package);
    let Some((text, by)) = requests.into_iter().find(|(text, _)| Request::parse(text).is_some()) else {
        return Requested::Usual;
    };
    let by = format!("{by}: {}", excerpt(&text));
    let version = match Request::parse(&text) {
        Some(Request::Exact(version)) => Some((version, true)),
        Some(Request::Range(range)) => {
            let fits = |version: &str| Version::parse(version).is_ok_and(|version| range.satisfies(&version));
            if usual.is_empty() || fits(usual) {
                return Requested::Usual;
            }
            let known = if manager.name == PNPM.name { PNPM_VERSIONS } else { &[] };
            let version = known.iter().find(|version| fits(version) && reads(manager, usual, version));
            let version = version.map(|version| ((*version).to_owned(), false));
            version.or_else(|| lowest(manager, &range))
        }
        None => None,
    };
    match version.filter(|(version, _)| reads(manager, usual, version)) {
        Some((version, _)) if version == usual => Requested::Usual,
        Some((version, is_exact)) => Requested::Version { version, is_exact, by },
        None if usual.is_empty() => Requested::Unmet(format!(
            "the npm that comes with Node is used ({by}): older ones do not read its lockfiles"
        )),
        None => Requested::Unmet(format!("{} {usual} is used, which fits the lockfile ({by})", manager.name)),
    }
}

/// The versions of pnpm whose checksums are known, the oldest first.
const PNPM_VERSIONS: &[&str] = &["7.33.7", "8.15.9", "9.15.9", "10.34.8", "11.28.11"];

/// The lowest version of a range: the only one that is known without asking the registry, and the same on each machine. Of the
/// managers that refuse a project whose `engines` they do not fit.
fn lowest(manager: &Manager, range: &Range) -> Option<(String, bool)> {
    let refuses = manager.name == PNPM.name || manager.package == YARN_CLASSIC.package;
    let lowest = range.min_version().filter(|version| refuses && !version.is_prerelease())?;
    Some((lowest.to_string(), true))
}

/// What the commit says about this manager's version. Exact versions of version managers before ranges.
fn requests(manager: &Manager, source: &Source, package: &Package) -> Vec<(String, String)> {
    let name = manager.name;
    let developed = package.manager_range.clone().filter(|_| is_named(package, name));
    let developed = developed.map(|range| (range, "devEngines in package.json".to_owned()));
    let volta = package.volta.get(name).cloned().map(|text| (text, "volta in package.json".to_owned()));
    let tools = tool_files::versions(source, &[name]).into_iter().filter_map(|(said, path)| match said {
        Said::Version(version) => Some((version, path.to_owned())),
        Said::Unclear(_) => None,
    });
    let engines = package.engines.get(name).cloned().map(|text| (text, "engines in package.json".to_owned()));
    developed.into_iter().chain(volta).chain(tools).chain(engines).collect()
}

/// Whether `devEngines` is about this manager.
fn is_named(package: &Package, name: &str) -> bool {
    package.package_manager.as_deref() == Some(name)
}

enum Request {
    Exact(String),
    Range(Range),
}

impl Request {
    /// None for `latest`, a sentence such as `please use yarn`, and everything else that names no versions.
    fn parse(text: &str) -> Option<Request> {
        let text = ["latest:", "prefix:"].iter().find_map(|start| text.strip_prefix(start)).unwrap_or(text);
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let plain = text.strip_prefix(['v', '=']).unwrap_or(text);
        match Version::parse(plain) {
            // It becomes part of a path and of an address.
            Ok(version) if version.to_string() == plain && plain.len() <= 40 => {
                Some(Request::Exact(plain.to_owned()))
            }
            _ => Range::parse(text).ok().map(Request::Range),
        }
    }
}

/// Whether a version reads the lockfile for which the usual version was chosen. npm since 7 reads all of its formats, pnpm
/// those of older versions; yarn since 2 would change a lockfile that another major version wrote, and yarn 1 is another
/// program.
fn reads(manager: &Manager, usual: &str, version: &str) -> bool {
    let major = |version: &str| -> u64 { Version::parse(version).map_or(0, |version| version.major()) };
    match manager.package {
        package if package == NPM.package => major(version) >= 7,
        // 9 and 10 read the same format.
        package if package == PNPM.package => major(version) >= major(usual).min(9),
        package if package == YARN_BERRY.package || package == BUN.package => major(version) == major(usual),
        _ => major(version) == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;
    use crate::planner::runtime::node::package;

    fn of(manager: &Manager, usual: &str, files: &[(&str, &str)], json: &str) -> Requested {
        requested(manager, usual, &source(files), &package::parse("package.json", json).unwrap())
    }

    #[test]
    fn a_version_that_reads_the_lockfile_is_taken() {
        let asdf = [(".tool-versions", "nodejs 22.1.0\npnpm 9.1.0\n")];
        let mise = [("mise.toml", "[tools]\npnpm = \"10\"\n"), asdf[0]];
        for (manager, usual, files, json, version, is_exact, by) in [
            (&PNPM, "9.15.9", &[][..], r#"{"engines": {"pnpm": ">=10"}}"#, "10.34.8", false, "engines"),
            (&PNPM, "10.34.8", &[], r#"{"engines": {"pnpm": "^9"}}"#, "9.15.9", false, "engines"),
            (&PNPM, "8.15.9", &[], r#"{"engines": {"pnpm": ">=9"}}"#, "9.15.9", false, "engines"),
            (&PNPM, "9.15.9", &[], r#"{"engines": {"pnpm": "9.4.0"}}"#, "9.4.0", true, "engines"),
            (&PNPM, "9.15.9", &[], r#"{"engines": {"pnpm": "^11"}}"#, "11.28.11", false, "engines"),
            (&PNPM, "9.15.9", &[], r#"{"engines": {"pnpm": "11.5.x"}}"#, "11.5.0", true, "engines"),
            (&YARN_CLASSIC, "1.22.22", &[], r#"{"engines": {"yarn": "~1.19"}}"#, "1.19.0", true, "engines"),
            (
                &PNPM,
                "9.15.9",
                &asdf,
                r#"{"engines": {"pnpm": ">=9"}}"#,
                "9.1.0",
                true,
                ".tool-versions: 9.1.0",
            ),
            (&PNPM, "9.15.9", &mise, "{}", "10.34.8", false, "mise.toml: 10"),
            (&PNPM, "9.15.9", &asdf, r#"{"volta": {"pnpm": "9.2.0"}}"#, "9.2.0", true, "volta"),
            (
                &PNPM,
                "9.15.9",
                &asdf,
                r#"{"devEngines": {"packageManager": {"name": "pnpm", "version": "^10.0.0"}}}"#,
                "10.34.8",
                false,
                "devEngines",
            ),
            (
                &YARN_CLASSIC,
                "1.22.22",
                &[],
                r#"{"engines": {"yarn": "1.22.19"}}"#,
                "1.22.19",
                true,
                "engines",
            ),
            (&YARN_BERRY, "4.12.0", &[], r#"{"volta": {"yarn": "4.1.0"}}"#, "4.1.0", true, "volta"),
            (&NPM, "", &[], r#"{"engines": {"npm": "10.9.2"}}"#, "10.9.2", true, "engines"),
            (&BUN, "1.4.5", &[("mise.toml", "[tools]\nbun = \"1.3.0\"\n")], "{}", "1.3.0", true, "mise"),
        ] {
            match of(manager, usual, files, json) {
                Requested::Version { version: found, is_exact: exact, by: who } => {
                    assert_eq!((found.as_str(), exact), (version, is_exact), "{json}");
                    assert!(who.contains(by), "{who}");
                }
                other => panic!("{json} {files:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_usual_version_stays_where_it_fits_or_nothing_is_requested() {
        let long = format!(r#"{{"engines": {{"pnpm": "{}"}}}}"#, ">=1 ".repeat(200));
        for (manager, usual, files, json) in [
            (&PNPM, "9.15.9", &[][..], "{}"),
            (&PNPM, "9.15.9", &[], r#"{"engines": {"pnpm": ">=8", "npm": "please-use-pnpm"}}"#),
            (&PNPM, "9.15.9", &[], r#"{"engines": {"pnpm": "9.15.9"}}"#),
            (&PNPM, "9.15.9", &[], r#"{"engines": {"pnpm": "please use pnpm"}}"#),
            (&PNPM, "9.15.9", &[], r#"{"engines": {"yarn": "1.22.19"}}"#),
            (&PNPM, "9.15.9", &[], &long),
            (&PNPM, "9.15.9", &[("mise.toml", "[tools]\npnpm = \"latest\"\n")], "{}"),
            (&PNPM, "9.15.9", &[(".tool-versions", "pnpm path:/opt/pnpm\n")], "{}"),
            (&YARN_BERRY, "4.12.0", &[], r#"{"engines": {"yarn": ">=1.22"}}"#),
            (&NPM, "", &[], r#"{"engines": {"npm": ">=10"}}"#),
        ] {
            assert_eq!(of(manager, usual, files, json), Requested::Usual, "{json} {files:?}");
        }
    }

    #[test]
    fn a_version_that_does_not_read_the_lockfile_is_not_taken() {
        for (manager, usual, json) in [
            (&PNPM, "9.15.9", r#"{"engines": {"pnpm": "^8"}}"#),
            (&PNPM, "9.15.9", r#"{"engines": {"pnpm": "8.1.0"}}"#),
            (&PNPM, "10.34.8", r#"{"engines": {"pnpm": "<7"}}"#),
            (&YARN_BERRY, "4.12.0", r#"{"engines": {"yarn": "1.22.19"}}"#),
            (&YARN_BERRY, "4.12.0", r#"{"engines": {"yarn": "3.x"}}"#),
            (&YARN_CLASSIC, "1.22.22", r#"{"engines": {"yarn": "4.1.0"}}"#),
            (&NPM, "", r#"{"engines": {"npm": "6.14.4"}}"#),
        ] {
            match of(manager, usual, &[], json) {
                Requested::Unmet(note) => assert!(note.contains("engines in package.json"), "{note}"),
                other => panic!("{json}: {other:?}"),
            }
        }
    }
}
