//! Which package manager a commit is for, and in which version.

use super::hash::{self, Hash};
use super::rows::{ALL, BUN, Manager, NPM, PNPM, YARN_BERRY, YARN_CLASSIC};
use super::version::{self, Requested};
use crate::error::{Code, Error, Result};
use crate::facts::{HEAD, Source};
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::yaml;
use crate::secret::excerpt;

/// A manager, and why it was chosen.
#[derive(Debug)]
pub struct Selected {
    pub manager: &'static Manager,
    /// Three numbers, perhaps with a pre-release.
    pub version: String,
    /// What `packageManager` says of the program.
    pub hash: Option<Hash>,
    /// Whether the commit names this version, and not only a manager.
    pub is_exact: bool,
    /// None if nothing is locked.
    pub lockfile: Option<&'static str>,
    pub origin: String,
    /// Why a requested version is not taken.
    pub notes: Vec<String>,
}

/// All lockfiles, for the detection of the runtime.
pub const LOCKFILES: &[&str] =
    &["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"];

impl Selected {
    /// Whether the manager also runs the project's files.
    pub fn is_bun(&self) -> bool {
        self.manager.package == BUN.package
    }

    /// With the version that another file than `packageManager` requests, if any.
    fn in_requested_version(mut self, source: &Source, package: &Package) -> Selected {
        if let Some(version) = bun_version(source).filter(|_| self.is_bun()) {
            self.version = version.to_owned();
            return self;
        }
        match version::requested(self.manager, &self.version, source, package) {
            Requested::Usual => {}
            Requested::Version { version, is_exact, by } => {
                self.version = version;
                self.is_exact = is_exact;
                self.origin = format!("{}; {by}", self.origin);
            }
            Requested::Unmet(note) => self.notes.push(note),
        }
        self
    }

    /// Whether yarn keeps packages in archives that Node reads by a hook, and makes no node_modules (Plug'n'Play).
    pub fn is_pnp(&self, source: &Source) -> bool {
        let settings = yaml::top(source.text(YARN_SETTINGS).unwrap_or_default()).unwrap_or_default();
        let has_directory = match settings.get("nodeLinker") {
            Some(yaml::Value::Text(linker)) => matches!(linker.as_str(), "node-modules" | "pnpm"),
            _ => false,
        };
        self.manager.package == YARN_BERRY.package && !has_directory
    }
}

/// The manager that `packageManager` names, else that of the only lockfile, else npm. Two lockfiles of different
/// managers are an error: one of them is stale, and only a person knows which.
pub fn selected(source: &Source, package: &Package) -> Result<Selected> {
    let mut selected = by_package_or_lockfile(source, package)?;
    if let Some(file) = package.only_for_pnpm.filter(|_| selected.manager.name != PNPM.name) {
        let cause = format!(
            "only pnpm reads {file}, and the manager is {} ({})",
            selected.manager.name, selected.origin
        );
        let remedy = format!("write {file} as package.json, or commit pnpm-lock.yaml as the only lockfile");
        return Err(Error::new(Code::ManifestInvalid, DOING, cause).remedy(remedy));
    }
    if selected.manager.package == YARN_BERRY.package {
        let text = source.read(YARN_SETTINGS).map_err(str::to_owned);
        let why = text.and_then(|text| yaml::top(text.unwrap_or_default())).err();
        let note = |why| format!("{YARN_SETTINGS} does not choose the nodeLinker here, so it is pnp: {why}");
        selected.notes.extend(why.map(note));
    }
    Ok(selected)
}

const YARN_SETTINGS: &str = ".yarnrc.yml";

fn by_package_or_lockfile(source: &Source, package: &Package) -> Result<Selected> {
    let named = package.package_manager.as_deref().map(Named::parse).transpose()?;
    let locked = locked(source);
    let family = |manager: &Manager| manager.name;
    match named {
        Some(named) => {
            let lockfile =
                locked.iter().find(|(manager, _)| family(manager) == named.name).map(|(_, path)| *path);
            if let (None, Some((_, other))) = (lockfile, locked.first()) {
                let cause = format!(
                    "packageManager in package.json is {}, and the commit has only {other}",
                    named.name
                );
                return Err(Error::new(Code::LockfileMissing, DOING, cause).remedy(format!(
                    "commit the lockfile of {}, or correct packageManager in package.json",
                    named.name
                )));
            }
            Ok(by_name(source, package, named, lockfile))
        }
        None => {
            if let [(one, first), rest @ ..] = locked.as_slice()
                && let Some((_, second)) = rest.iter().find(|(manager, _)| family(manager) != family(one))
            {
                let cause =
                    format!("the commit has {first} and {second}, and package.json has no packageManager");
                return Err(Error::new(Code::LockfileMissing, DOING, cause).remedy(format!(
                    "remove the one that is not used any more, or name the manager in package.json: \"packageManager\": \"{}@...\"",
                    one.name
                )));
            }
            let (manager, lockfile) =
                locked.first().map_or((&NPM, None), |(manager, path)| (*manager, Some(*path)));
            let manager = match family(manager) {
                "yarn" => yarn(source, None),
                "npm" if lockfile.is_none() && package.is_for_bun() => &BUN,
                "npm" if lockfile.is_none() && package.engines.contains_key("pnpm") => &PNPM,
                "npm" if lockfile.is_none() && package.only_for_pnpm.is_some() => &PNPM,
                _ => manager,
            };
            let origin = lockfile.map_or("no lockfile".to_owned(), str::to_owned);
            let usual = usual(manager, source, package);
            let chosen = Selected {
                manager,
                version: usual.to_owned(),
                hash: None,
                is_exact: false,
                lockfile,
                origin,
                notes: Vec::new(),
            };
            Ok(chosen.in_requested_version(source, package))
        }
    }
}

const DOING: &str = "choosing the package manager";

/// The lockfiles of the commit's root, one for each manager.
fn locked(source: &Source) -> Vec<(&'static Manager, &'static str)> {
    let rows = ALL.into_iter().filter(|manager| manager.package != YARN_BERRY.package);
    rows.filter_map(|manager| Some((manager, *manager.lockfiles.iter().find(|path| source.has(path))?)))
        .collect()
}

/// `NAME@VERSION+sha512.HEX`.
#[derive(Debug)]
struct Named {
    name: &'static str,
    version: Option<String>,
    hash: Option<Hash>,
}

impl Named {
    fn parse(text: &str) -> Result<Named> {
        let bad = |cause: String| {
            Error::new(Code::ManifestInvalid, "reading packageManager in package.json", cause)
                .remedy("name npm, yarn, pnpm or bun with a version: \"packageManager\": \"pnpm@9.15.9\"")
        };
        let (name, rest) = text.split_once('@').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let known = ALL.iter().find(|manager| manager.name == name.trim());
        let Some(manager) = known else {
            return Err(bad(format!("it names {}, which is not supported", excerpt(name))));
        };
        let Some(rest) = rest else { return Ok(Named { name: manager.name, version: None, hash: None }) };
        let (version, hash) =
            rest.split_once('+').map_or((rest, None), |(version, hash)| (version, Some(hash)));
        // The version becomes part of a path and of an address.
        let plain = nodejs_semver::Version::parse(version).is_ok_and(|parsed| parsed.to_string() == version);
        if !plain || version.len() > 40 {
            return Err(bad(format!("{} is not a version of three numbers", excerpt(rest))));
        }
        let hash = match hash.map(|text| (text, Hash::parse(text))) {
            // corepack's own defaults have it. It proves nothing: the shipped hash or the registry's counts.
            Some((text, None)) if hash::is_sha1(text) => None,
            Some((text, None)) => {
                let cause =
                    format!("{} behind + is not a hash by sha224, sha256, sha384 or sha512", excerpt(text));
                return Err(bad(cause));
            }
            Some((_, hash)) => hash,
            None => None,
        };
        Ok(Named { name: manager.name, version: Some(version.to_owned()), hash })
    }
}

fn by_name(source: &Source, package: &Package, named: Named, lockfile: Option<&'static str>) -> Selected {
    let manager = match named.name {
        "yarn" => yarn(source, named.version.as_deref()),
        name => ALL.into_iter().find(|manager| manager.name == name).unwrap_or(&NPM),
    };
    let is_exact = named.version.is_some();
    let usual = || usual(manager, source, package).to_owned();
    let selected = Selected {
        manager,
        version: named.version.unwrap_or_else(usual),
        hash: named.hash,
        is_exact,
        lockfile,
        origin: "packageManager in package.json".to_owned(),
        notes: Vec::new(),
    };
    if is_exact { selected } else { selected.in_requested_version(source, package) }
}

/// The version in `.bun-version`.
fn bun_version(source: &Source) -> Option<&str> {
    let version = source.text(".bun-version")?.trim();
    let version = version.strip_prefix('v').unwrap_or(version);
    nodejs_semver::Version::parse(version)
        .is_ok_and(|parsed| parsed.to_string() == version)
        .then_some(version)
}

/// yarn 1 and yarn 2 or newer are two programs with one name. Their lockfiles begin differently.
fn yarn(source: &Source, version: Option<&str>) -> &'static Manager {
    let head = source.text(&format!("{HEAD}yarn.lock")).unwrap_or_default();
    match version {
        Some(version) if version.starts_with("1.") => &YARN_CLASSIC,
        Some(_) => &YARN_BERRY,
        None if head.contains("__metadata:") => &YARN_BERRY,
        None if head.contains("yarn lockfile v1") => &YARN_CLASSIC,
        None if source.has(".yarnrc.yml") => &YARN_BERRY,
        None => &YARN_CLASSIC,
    }
}

/// The version of a manager that fits the lockfile, if the commit names none.
fn usual(manager: &'static Manager, source: &Source, package: &Package) -> &'static str {
    match manager.package {
        package if package == YARN_CLASSIC.package => "1.22.22",
        package if package == YARN_BERRY.package => berry(source),
        package if package == BUN.package => "1.4.5",
        name if name == PNPM.package => pnpm(source, package),
        _ => "",
    }
}

/// The last version of yarn that writes the lockfile's format. Another one would change the lockfile, which a frozen
/// installation refuses.
fn berry(source: &Source) -> &'static str {
    let head = source.text(&format!("{HEAD}yarn.lock")).unwrap_or_default();
    let mut lines = head.lines().skip_while(|line| !line.starts_with("__metadata:"));
    let format = lines.find_map(|line| line.trim().strip_prefix("version:"));
    match format.and_then(|format| format.trim().parse().ok()).unwrap_or(u32::MAX) {
        0..=4 => "2.4.2",
        5 => "3.1.1",
        6 | 7 => "3.8.7",
        8 => "4.12.0",
        9 => "4.14.1",
        _ => "4.18.1",
    }
}

/// The last version of pnpm that reads the lockfile's format and, of those, the one that reads the project's settings
/// where they are: since 10, pnpm-workspace.yaml has them, and packages run no scripts unless they are listed.
fn pnpm(source: &Source, package: &Package) -> &'static str {
    let head = source.text(&format!("{HEAD}pnpm-lock.yaml")).unwrap_or_default();
    let format = head.lines().find_map(|line| line.strip_prefix("lockfileVersion:"));
    let format = format.map(|format| format.trim().trim_matches(['\'', '"'])).unwrap_or_default();
    let workspace = source.text("pnpm-workspace.yaml").and_then(|text| yaml::top(text).ok());
    let has_settings = workspace.is_some_and(|top| {
        !top.contains_key("packages")
            || top.keys().any(|key| !["packages", "catalog", "catalogs"].contains(&key.as_str()))
    });
    match format {
        format if format.starts_with("5.") => "7.33.7",
        format if format.starts_with("6.") => "8.15.9",
        _ if has_settings || package.lists_built_dependencies => "10.34.8",
        _ => "9.15.9",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;
    use crate::planner::runtime::node::package;

    fn chosen(files: &[(&str, &str)], json: &str) -> Result<(&'static str, String, Option<&'static str>)> {
        let package = package::parse("package.json", json)?;
        let selected = selected(&source(files), &package)?;
        Ok((selected.manager.package.unwrap_or("npm"), selected.version, selected.lockfile))
    }

    #[test]
    fn the_lockfile_names_the_manager_and_a_version_that_reads_it() {
        for (files, package, version) in [
            (&[("package-lock.json", "")][..], "npm", ""),
            (&[("yarn.lock", "# yarn lockfile v1\n")], "yarn", "1.22.22"),
            (&[("yarn.lock", "__metadata:\n  version: 8\n")], "@yarnpkg/cli-dist", "4.12.0"),
            (&[("yarn.lock", "# x\n\n__metadata:\n  version: 6\n")], "@yarnpkg/cli-dist", "3.8.7"),
            (
                &[("yarn.lock", "__metadata:\n  version: 10\n  cacheKey: 10c0\n")],
                "@yarnpkg/cli-dist",
                "4.18.1",
            ),
            (&[("pnpm-lock.yaml", "lockfileVersion: '9.0'\n")], "pnpm", "9.15.9"),
            (&[("pnpm-lock.yaml", "lockfileVersion: 5.4\n")], "pnpm", "7.33.7"),
            (&[("pnpm-lock.yaml", "lockfileVersion: '6.0'\n")], "pnpm", "8.15.9"),
            (
                &[
                    ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"),
                    ("pnpm-workspace.yaml", "onlyBuiltDependencies:\n- x\n"),
                ],
                "pnpm",
                "10.34.8",
            ),
            (&[("bun.lock", "{}")], "@oven/bun-linux-x64", "1.4.5"),
            (&[("bun.lockb", ""), ("bun.lock", "{}")], "@oven/bun-linux-x64", "1.4.5"),
            (&[], "npm", ""),
        ] {
            let chosen = chosen(files, "{}").unwrap();
            assert_eq!((chosen.0, chosen.1.as_str()), (package, version), "{files:?}");
        }
    }

    #[test]
    fn a_named_manager_counts_more_than_a_stale_lockfile() {
        let files = [("package-lock.json", ""), ("yarn.lock", "# yarn lockfile v1")];
        let named = chosen(&files, r#"{"packageManager": "yarn@1.22.19"}"#).unwrap();
        assert_eq!(named, ("yarn", "1.22.19".to_owned(), Some("yarn.lock")));
        let error = chosen(&files, "{}").unwrap_err();
        assert_eq!(error.code(), Code::LockfileMissing);
        assert!(error.to_string().contains("package-lock.json and yarn.lock"), "{error}");
        let error = chosen(&files[..1], r#"{"packageManager": "pnpm@9.0.0"}"#).unwrap_err().to_string();
        assert!(error.contains("pnpm") && error.contains("package-lock.json"), "{error}");
    }

    #[test]
    fn the_linker_of_yarn_is_read_as_yaml() {
        let package = package::parse("package.json", "{}").unwrap();
        let is_pnp = |settings: &str| {
            let source = source(&[("yarn.lock", "__metadata:\n  version: 8\n"), (".yarnrc.yml", settings)]);
            let selected = selected(&source, &package).unwrap();
            (selected.is_pnp(&source), selected.notes.len())
        };
        for settings in [
            "nodeLinker: node-modules\n",
            "nodeLinker: node-modules # as before\n",
            "\"nodeLinker\": 'node-modules'   # x\n",
            "{nodeLinker: pnpm}\n",
        ] {
            assert_eq!(is_pnp(settings), (false, 0), "{settings}");
        }
        for (settings, notes) in [
            ("", 0),
            ("nodeLinker: pnp # not node-modules\n", 0),
            ("npmScopes:\n  nodeLinker: node-modules\n", 0),
            ("# nodeLinker: node-modules\n", 0),
            ("nodeLinker: [node-modules\n", 1),
        ] {
            assert_eq!(is_pnp(settings), (true, notes), "{settings}");
        }
    }

    #[test]
    fn a_hash_is_taken_and_other_words_than_a_version_are_refused() {
        let hash = "a".repeat(128);
        let named = Named::parse(&format!("pnpm@9.1.0+sha512.{hash}")).unwrap();
        assert_eq!(
            (named.version.as_deref(), named.hash.map(|hash| hash.hex())),
            (Some("9.1.0"), Some(hash))
        );
        for bad in [
            "pnpm@9.1.0+sha224.00",
            "pnpm@9.1.0+sha1.aa",
            "pnpm@9.1.0+",
            "pnpm@latest",
            "pnpm@9",
            "pnpm@../../x",
            "pnpm@^9.0.0",
            "cnpm@1.0.0",
            "@1.0.0",
            "",
        ] {
            assert!(Named::parse(bad).is_err(), "{bad}");
        }
    }
}
