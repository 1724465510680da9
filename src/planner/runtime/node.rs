//! Node: the version asked for, `npm ci`, and the start script without npm as a parent.

use std::collections::BTreeMap;
use std::path::Path;

use nodejs_semver::{Range, Version};
use serde::Deserialize;

use super::command::{self, Start};
use super::{Recipe, Work};
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, NodeRuntime, Source};
use crate::fault::Slice;
use crate::observe::manifest::Manifest;
use crate::plan::layout::Layout;

pub const EVIDENCE: &[&str] = &["package.json", ".nvmrc", ".node-version"];

const LOCKFILES: &[&str] = &["package-lock.json", "npm-shrinkwrap.json"];
/// Lockfiles of package managers that are not supported yet: better named than ignored.
const FOREIGN_LOCKFILES: &[&str] = &["yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"];

/// The parts of package.json that tell how a service is built and started.
#[derive(Debug, Default, Deserialize)]
struct Package {
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(default)]
    engines: BTreeMap<String, String>,
    main: Option<String>,
}

pub fn detect(source: &Source) -> bool {
    source.has("package.json")
}

pub fn recipe(source: &Source, manifest: &Manifest, facts: &Facts, layout: &Layout) -> Result<Recipe> {
    let package = package(source)?;
    let mut notes = Vec::new();
    let (node, chosen_by) = chosen(source, manifest, &package, facts, &mut notes)?;
    let work = work(source, manifest, &package, node)?;
    let start = start(source, manifest, &package, node)?;
    if manifest.start.is_none() && package.scripts.contains_key("prestart") {
        notes.push("package.json's prestart script is not run: npm is not the service's parent".to_owned());
    }
    Ok(Recipe {
        runtime: format!("node {}", node.version),
        chosen_by,
        work,
        build_environment: build_environment(layout),
        start,
        defaults: [("NODE_ENV".to_owned(), "production".to_owned())].into(),
        programs: vec!["node_modules/.bin".to_owned()],
        path: vec![node.bin.display().to_string()],
        notes,
    })
}

fn package(source: &Source) -> Result<Package> {
    let Some(text) = source.text("package.json") else {
        return Err(Error::new(
            Code::ManifestInvalid,
            "reading package.json",
            "runtime = \"node\" is asked for, but there is no package.json at the repository's root (or it is a link, or too long)",
        )
        .remedy("add a package.json, or take runtime out of bootagent.toml"));
    };
    serde_json::from_str(text).map_err(|error| {
        let cause = format!("package.json:{}:{}: {error}", error.line(), error.column());
        Error::new(Code::ManifestInvalid, "reading package.json", cause).remedy("correct the line")
    })
}

/// A version range and who asks for it.
struct Wish {
    range: String,
    by: &'static str,
}

/// The most explicit wish wins; one below it that is not granted is worth a note.
fn chosen<'a>(
    source: &Source,
    manifest: &Manifest,
    package: &Package,
    facts: &'a Facts,
    notes: &mut Vec<String>,
) -> Result<(&'a NodeRuntime, String)> {
    let line = |path: &str| {
        let text = source.text(path)?;
        text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
    };
    let wishes = [
        (manifest.node.version.clone(), "node.version in bootagent.toml"),
        (line(".nvmrc"), ".nvmrc"),
        (line(".node-version"), ".node-version"),
        (package.engines.get("node").cloned(), "engines in package.json"),
    ];
    let mut said = wishes.into_iter().filter_map(|(range, by)| range.map(|range| Wish { range, by }));
    let first = said.next().unwrap_or(Wish { range: "*".to_owned(), by: "no version is asked for" });
    let node = installed(&first, facts)?;
    for other in said.filter(|other| !other.grants(node).unwrap_or(false)) {
        notes.push(format!(
            "Node {} is taken for {} ({}), although {} asks for {}",
            node.version, first.range, first.by, other.by, other.range
        ));
    }
    Ok((node, format!("{}: {}", first.by, first.range)))
}

/// Node's lines with long-term support, as nvm names them.
const LTS: &[(&str, u64)] = &[
    ("argon", 4),
    ("boron", 6),
    ("carbon", 8),
    ("dubnium", 10),
    ("erbium", 12),
    ("fermium", 14),
    ("gallium", 16),
    ("hydrogen", 18),
    ("iron", 20),
    ("jod", 22),
    ("krypton", 24),
];

impl Wish {
    fn doing(&self) -> String {
        format!("looking for Node {} ({})", self.range, self.by)
    }

    /// Whether this version is what is asked for, by npm's grammar or in one of nvm's words.
    fn grants(&self, node: &NodeRuntime) -> Result<bool> {
        let word = self.range.strip_prefix('v').unwrap_or(&self.range);
        let line = |name: &str| LTS.iter().find(|(known, _)| *known == name.to_lowercase());
        let (range, only_lts) = match (word, word.strip_prefix("lts/").and_then(line)) {
            (_, Some((_, major))) => (Range::parse(major.to_string()), true),
            ("node" | "latest" | "current", _) => (Range::parse("*"), false),
            ("lts/*" | "lts", _) => (Range::parse("*"), true),
            (other, _) => (Range::parse(other), false),
        };
        let range = range.map_err(|error| {
            Error::new(Code::ManifestInvalid, self.doing(), format!("not a version range: {error}"))
                .remedy("write a version like 22, a range like >=20, or lts/*")
        })?;
        // Even majors have long-term support.
        let fits =
            |version: Version| range.satisfies(&version) && (!only_lts || version.major().is_multiple_of(2));
        Ok(node.version == super::ANY_VERSION || Version::parse(&node.version).is_ok_and(fits))
    }
}

/// The newest installed Node that the wish allows.
fn installed<'a>(wish: &Wish, facts: &'a Facts) -> Result<&'a NodeRuntime> {
    let doing = || wish.doing();
    let mut fitting = Vec::new();
    for node in &facts.node {
        if wish.grants(node)? {
            fitting.push(node);
        }
    }
    let newest = fitting.into_iter().max_by_key(|node| Version::parse(&node.version).ok());
    let Some(node) = newest else {
        return Err(Error::new(Code::RuntimeMissing, doing(), found(facts)));
    };
    if !node.npm {
        return Err(Error::new(
            Code::RuntimeMissing,
            doing(),
            format!("{} has no npm beside it", node.bin.display()),
        ));
    }
    Ok(node)
}

fn found(facts: &Facts) -> String {
    if facts.node.is_empty() {
        return "the machine has no Node".to_owned();
    }
    let versions: Vec<&str> = facts.node.iter().map(|node| node.version.as_str()).collect();
    format!("the machine has {} only", versions.join(" and "))
}

/// Install, build, and only if there was a build, shed what only the build needed.
fn work(source: &Source, manifest: &Manifest, package: &Package, node: &NodeRuntime) -> Result<Vec<Work>> {
    let bin = |name: &str| node.bin.join(name).display().to_string();
    let builds = match &manifest.build {
        Some(builds) => builds.clone(),
        None if package.scripts.contains_key("build") => vec!["npm run build".to_owned()],
        None => Vec::new(),
    };
    let own_install = manifest.install.is_some();
    let mut work = Vec::new();
    let mut add = |slice: Slice, name: &str, why: &str, argv: Vec<String>| {
        work.push(Work { name: name.to_owned(), why: why.to_owned(), argv, slice });
    };

    match &manifest.install {
        Some(commands) => {
            for (index, line) in commands.iter().enumerate() {
                add(
                    Slice::Install,
                    &numbered("install", index, commands.len()),
                    "as the manifest says",
                    command::argv(line, &node.bin)?,
                );
            }
        }
        None => {
            lockfile(source)?;
            let mut argv = vec![bin("npm"), "ci".to_owned(), "--no-audit".to_owned(), "--no-fund".to_owned()];
            if builds.is_empty() {
                argv.push("--omit=dev".to_owned());
            }
            add(Slice::Install, "install", "exactly what the lockfile says", argv);
        }
    }
    for (index, line) in builds.iter().enumerate() {
        add(
            Slice::Build,
            &numbered("build", index, builds.len()),
            "what the service runs is made here",
            command::argv(line, &node.bin)?,
        );
    }
    if !builds.is_empty() && !own_install {
        let argv = vec![
            bin("npm"),
            "prune".to_owned(),
            "--omit=dev".to_owned(),
            "--no-audit".to_owned(),
            "--no-fund".to_owned(),
        ];
        add(Slice::Build, "shed", "development dependencies were for the build only", argv);
    }
    Ok(work)
}

fn numbered(name: &str, index: usize, of: usize) -> String {
    if of == 1 { name.to_owned() } else { format!("{name}-{}", index + 1) }
}

fn lockfile(source: &Source) -> Result<()> {
    if LOCKFILES.iter().any(|path| source.has(path)) {
        return Ok(());
    }
    let doing = format!("installing the packages of {}", source.commit.short());
    match FOREIGN_LOCKFILES.iter().find(|path| source.has(path)) {
        Some(foreign) => Err(Error::new(
            Code::LockfileMissing,
            doing,
            format!("only npm's lockfile is supported yet, and there is only {foreign}"),
        )
        .remedy("commit a package-lock.json, or name the commands with install = [...] in bootagent.toml")),
        None => Err(Error::new(
            Code::LockfileMissing,
            doing,
            "the commit has no package-lock.json, so two boots could install two different services",
        )),
    }
}

fn build_environment(layout: &Layout) -> BTreeMap<String, String> {
    let cache = layout.cache().display().to_string();
    // NODE_ENV stays unset: "production" would make npm leave out what a build needs.
    [
        ("CI", "true".to_owned()),
        // Private and gone with the command: nothing that one commit writes there meets the next.
        ("HOME", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("npm_config_cache", format!("{cache}/npm")),
        // Five times within half a minute; then the whole installation is done again.
        ("npm_config_fetch_retries", "5".to_owned()),
        ("npm_config_fetch_retry_factor", "3".to_owned()),
        ("npm_config_fetch_retry_maxtimeout", "10000".to_owned()),
        ("npm_config_fetch_retry_mintimeout", "500".to_owned()),
        ("npm_config_update_notifier", "false".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The manifest's command, else package.json's start script, else its main file, else server.js.
fn start(source: &Source, manifest: &Manifest, package: &Package, node: &NodeRuntime) -> Result<Start> {
    let node_program = node.bin.join("node");
    let file = |path: &str| Start {
        argv: vec![node_program.display().to_string(), path.to_owned()],
        environment: BTreeMap::new(),
    };
    if let Some(line) = manifest.start.as_deref().or_else(|| package.scripts.get("start").map(String::as_str))
    {
        return command::start(line, &package.scripts, &node_program);
    }
    // Packages often name a main file that is not there. Of the files below the root nothing is known at
    // a reboot, so there the name alone counts.
    let there = |main: &&str| main.contains('/') || source.has(main);
    let main = package.main.as_deref().map(|main| main.trim_start_matches("./")).filter(there);
    match main.or_else(|| source.has("server.js").then_some("server.js")) {
        Some(path) if !Path::new(path).is_absolute() => Ok(file(path)),
        _ => Err(Error::new(
            Code::ManifestInvalid,
            "looking for the start command",
            "neither start in bootagent.toml, nor scripts.start or main in package.json, nor server.js",
        )
        .remedy("add start = \"node server.js\" (or what starts the service) to bootagent.toml")),
    }
}
