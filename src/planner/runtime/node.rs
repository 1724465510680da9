//! Node: the version asked for, `npm ci`, and the start script without npm as a parent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::command::{self, Start};
use super::node_version::{Node, Wish};
use super::recipe::{ArchiveNames, Claim, Draft, Need, Recipe, Runtime, Weight, Work};
use super::{node_archive, node_choice};
use crate::error::{Code, Error, Result};
use crate::facts::{Mirrors, Network, Places, Source};
use crate::fault::Phase;
use crate::observe::manifest::{Key, Manifest, Table};
use crate::plan::layout::Layout;
use crate::planner::env::dotenv;
use crate::planner::unmet::{Unmet, look_at};
use crate::secret::excerpt;

const EVIDENCE: &[&str] = &["package.json", ".nvmrc", ".node-version"];

pub static NODE: Runtime = Runtime {
    name: "node",
    evidence: EVIDENCE,
    programs: &[Places {
        program: "node",
        names: &["node"],
        directories: &["/usr/local/bin", "/usr/bin"],
        versions: &[("/usr/local/lib/nodejs", ""), ("/opt", "node")],
        prints: "v",
        beside: &[("npm", &["npm"])],
    }],
    table: Table { name: "node", keys: &[VERSION] },
    archives: &[ArchiveNames {
        program: "node",
        is_one: node_archive::is_one,
        example: "node-v22.20.0-linux-x64.tar.gz",
    }],
    mirrors: &["node", "npm"],
    dialect: &dotenv::NODE,
    network,
    detect,
    recipe,
};

const VERSION: Key =
    Key { name: "version", expected: "an npm version range like \"22\" or \">=20 <23\"", fits: is_range };

/// An empty range is any version to npm: more likely a slip than a wish.
fn is_range(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= 256 && nodejs_semver::Range::parse(text).is_ok()
}

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
    /// Only its names are read: what a version may look like is npm's to say.
    #[serde(default)]
    dependencies: serde_json::Value,
    main: Option<String>,
}

/// Far more than any package.json has.
const MOST_SCRIPTS: usize = 1000;
const MOST_ENGINES: usize = 100;

fn detect(source: &Source) -> Option<Claim> {
    let lockfile = LOCKFILES.iter().chain(FOREIGN_LOCKFILES).find(|path| source.has(path));
    match (source.has("package.json"), lockfile) {
        (false, _) => None,
        (true, Some(by)) => Some(Claim { by, weight: Weight::Lockfile }),
        (true, None) => Some(Claim { by: "package.json", weight: Weight::Package }),
    }
}

/// How npm and node are told of the network. npm reads a repository's .npmrc before the usual variables, but its own ones
/// before that.
fn network(network: &Network, mirrors: &Mirrors) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut tell = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    if let Some(proxy) = &network.proxy {
        tell("npm_config_proxy", proxy.as_str());
        tell("npm_config_https_proxy", proxy.as_str());
        tell("npm_config_noproxy", &network.direct().join(","));
        // Without it, node's own requests pass the proxy by (from 22.21 and 24 on it is read).
        tell("NODE_USE_ENV_PROXY", "1");
    }
    if let Some(file) = &network.ca_file {
        // Beside node's own certificates. npm's cafile would stand in their place.
        tell("NODE_EXTRA_CA_CERTS", file.as_str());
    }
    if let Some(mirror) = mirrors.get("npm") {
        tell("npm_config_registry", &format!("{mirror}/"));
    }
    if let Some(mirror) = mirrors.get("node") {
        // Where node-gyp looks for headers. npm's own words for it, disturl and dist-url, are none that it knows.
        tell("NODEJS_ORG_MIRROR", mirror.as_str());
    }
    variables
}

fn recipe(draft: &Draft) -> Result<Recipe, Unmet> {
    let Draft { source, manifest, layout, .. } = draft;
    look_at(source, EVIDENCE)?;
    let package = package(source)?;
    let mut notes = Vec::new();
    let (node, chosen_by) = chosen(draft, &package, &mut notes)?;
    let work = work(source, manifest, &package, &node)?;
    let start = start(draft, &package, &node)?;
    let migrate =
        manifest.migrate.iter().map(|line| command::argv(line, &node.bin)).collect::<Result<_>>()?;
    if manifest.start.is_none() && package.scripts.contains_key("prestart") {
        notes.push("package.json's prestart script is not run: npm is not the service's parent".to_owned());
    }
    Ok(Recipe {
        of: &NODE,
        runtime: format!("node {}", node.version),
        // Addons are built for a major version's ABI.
        runtime_line: format!("node {}", node.version.split('.').next().unwrap_or_default()),
        chosen_by,
        needs: node.archive.into_iter().map(Need::Archive).collect(),
        work,
        build_environment: build_environment(layout),
        start,
        migrate,
        migrate_lines: manifest.migrate.clone(),
        migrate_environment: migrate_environment(),
        dotenv: NODE.dialect,
        defaults: [("NODE_ENV".to_owned(), "production".to_owned())].into(),
        programs: vec!["node_modules/.bin".to_owned()],
        path: vec![node.bin.display().to_string()],
        caches: vec![npm_cache(layout)],
        stores_uploads: stores_uploads(&package),
        notes,
    })
}

/// Packages that put the files of a request on the disk, mostly next to the program.
const UPLOADS: &[&str] = &["multer", "formidable", "express-fileupload", "busboy"];

fn stores_uploads(package: &Package) -> Option<&'static str> {
    UPLOADS.iter().copied().find(|name| package.dependencies.get(name).is_some())
}

fn npm_cache(layout: &Layout) -> PathBuf {
    layout.cache().join("npm")
}

fn package(source: &Source) -> Result<Package> {
    let bad = |cause: String, remedy| {
        Error::new(Code::ManifestInvalid, "reading package.json", cause).remedy(remedy)
    };
    let text =
        source.read("package.json").map_err(|why| bad(why.to_owned(), "make it a plain, short text file"))?;
    let Some(text) = text else {
        let cause = "runtime = \"node\" is asked for, but there is no package.json at the repository's root";
        return Err(bad(cause.to_owned(), "add a package.json, or take runtime out of bootagent.toml"));
    };
    // As npm does.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with('{') {
        return Err(bad("package.json:1:1: it is not a JSON object".to_owned(), "npm init writes one"));
    }
    let package: Package = serde_json::from_str(text).map_err(|error| {
        let told = error.to_string();
        let (cause, _) = told.rsplit_once(" at line ").unwrap_or((&told, ""));
        let at = format!("package.json:{}:{}", error.line(), error.column());
        bad(format!("{at}: {}", excerpt(cause)), "correct the line")
    })?;
    let tables =
        [("scripts", package.scripts.len(), MOST_SCRIPTS), ("engines", package.engines.len(), MOST_ENGINES)];
    match tables.into_iter().find(|(_, count, most)| count > most) {
        Some((table, count, most)) => {
            let cause = format!("package.json: {table} has {count} entries; the limit is {most}");
            Err(bad(cause, "take out those that nothing runs"))
        }
        None => Ok(package),
    }
}

/// The most explicit wish, and those below it.
fn wishes(source: &Source, manifest: &Manifest, package: &Package) -> (Wish, Vec<Wish>) {
    let line = |path: &str| {
        let text = source.text(path)?;
        text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
    };
    let wishes = [
        (manifest.said("node", "version").map(str::to_owned), "node.version in bootagent.toml"),
        (line(".nvmrc"), ".nvmrc"),
        (line(".node-version"), ".node-version"),
        (package.engines.get("node").cloned(), "engines in package.json"),
    ];
    let mut said = wishes.into_iter().filter_map(|(range, by)| range.map(|range| Wish { range, by }));
    (said.next().unwrap_or(Wish::nothing()), said.collect())
}

/// The Node for the first wish; another wish that it does not grant is worth a note.
fn chosen(draft: &Draft, package: &Package, notes: &mut Vec<String>) -> Result<(Node, String), Unmet> {
    let (first, others) = wishes(draft.source, draft.manifest, package);
    let node = node_choice::choose(&first, draft)?;
    for other in others.iter().filter(|other| !other.is_granted_by(&node.version).unwrap_or(false)) {
        notes.push(format!(
            "Node {} is taken for {} ({}), although {} asks for {}",
            node.version,
            first.shown(),
            first.by,
            other.by,
            other.shown()
        ));
    }
    Ok((node, format!("{}: {}", first.by, first.shown())))
}

/// Install, build, and only if there was a build, remove what only the build needed.
fn work(source: &Source, manifest: &Manifest, package: &Package, node: &Node) -> Result<Vec<Work>> {
    let builds = match &manifest.build {
        Some(builds) => builds.clone(),
        None if package.scripts.contains_key("build") => vec!["npm run build".to_owned()],
        None => Vec::new(),
    };
    let own_install = manifest.install.is_some();
    let mut work = Vec::new();
    let mut add = |phase: Phase, name: &str, why: &str, argv: Vec<String>, line: &str| {
        let (name, why, line) = (name.to_owned(), why.to_owned(), line.to_owned());
        work.push(Work { name, why, argv, line, phase });
    };

    match &manifest.install {
        Some(commands) => {
            for (index, line) in commands.iter().enumerate() {
                let name = numbered("install", index, commands.len());
                let argv = command::argv(line, &node.bin)?;
                add(Phase::Install, &name, "as the manifest says", argv, line);
            }
        }
        None => {
            lockfile(source)?;
            let (line, omit) =
                if builds.is_empty() { ("npm ci --omit=dev", "--omit=dev") } else { ("npm ci", "") };
            let argv = npm(&node.bin, &["ci", "--no-audit", "--no-fund", omit]);
            add(Phase::Install, "install", "exactly what the lockfile says", argv, line);
        }
    }
    for (index, line) in builds.iter().enumerate() {
        let name = numbered("build", index, builds.len());
        let argv = command::argv(line, &node.bin)?;
        add(Phase::Build, &name, "what the service runs is made here", argv, line);
    }
    if !builds.is_empty() && !own_install {
        let line = "npm prune --omit=dev";
        let why = "development dependencies were for the build only";
        let argv = npm(&node.bin, &["prune", "--omit=dev", "--no-audit", "--no-fund"]);
        add(Phase::Build, "prune-dependencies", why, argv, line);
    }
    Ok(work)
}

fn npm(bin: &Path, words: &[&str]) -> Vec<String> {
    let words = words.iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned());
    std::iter::once(bin.join("npm").display().to_string()).chain(words).collect()
}

fn numbered(name: &str, index: usize, of: usize) -> String {
    if of == 1 { name.to_owned() } else { format!("{name}-{}", index + 1) }
}

fn lockfile(source: &Source) -> Result<()> {
    if LOCKFILES.iter().any(|path| source.has(path)) {
        return Ok(());
    }
    let doing = "planning the installation of packages";
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
    // NODE_ENV stays unset: "production" would make npm leave out what a build needs.
    [
        ("CI", "true".to_owned()),
        // Private and gone with the command: nothing that one commit writes there meets the next.
        ("HOME", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("npm_config_cache", npm_cache(layout).display().to_string()),
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

/// npm's own files belong neither into what the service keeps nor into what it may not write.
fn migrate_environment() -> BTreeMap<String, String> {
    [("npm_config_cache", "/tmp/npm"), ("npm_config_update_notifier", "false")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The manifest's command, else package.json's start script, else its main file, else server.js.
fn start(draft: &Draft, package: &Package, node: &Node) -> Result<Start> {
    let Draft { source, manifest, .. } = draft;
    let node_program = node.bin.join("node");
    let file = |path: &str| Start {
        argv: vec![node_program.display().to_string(), path.to_owned()],
        environment: BTreeMap::new(),
        is_wrapped: false,
        notifies: false,
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
        // Its own file says what is started.
        _ if draft.is_started_by_supervisor => {
            Ok(Start { argv: Vec::new(), environment: BTreeMap::new(), is_wrapped: false, notifies: false })
        }
        _ => Err(Error::new(
            Code::ManifestInvalid,
            "looking for the start command",
            "neither start in bootagent.toml, nor scripts.start or main in package.json, nor server.js",
        )
        .remedy("add start = \"node server.js\" (or what starts the service) to bootagent.toml")),
    }
}
