//! The runtime Node: the requested version, `npm ci`, the build, and a start command that does not run under npm, which
//! would not forward signals to the service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::command::{self, Start};
use super::node_version::{Node, Request};
use super::recipe::{ArchiveNames, Claim, Need, Recipe, RecipeInputs, Runtime, Weight, Work};
use super::{node_archive, node_choice};
use crate::error::{Code, Error, Result};
use crate::facts::{Mirrors, Network, Places, Source};
use crate::fault::Phase;
use crate::observe::manifest::{Key, Manifest, Table};
use crate::plan::layout::Layout;
use crate::planner::env::dotenv;
use crate::planner::unmet::{Unmet, require_texts};
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

/// npm takes an empty range for any version; in a manifest it is more likely a mistake.
fn is_range(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= 256 && nodejs_semver::Range::parse(text).is_ok()
}

const LOCKFILES: &[&str] = &["package-lock.json", "npm-shrinkwrap.json"];
/// Lockfiles of package managers that are not supported. The error that there is no lockfile names them.
const FOREIGN_LOCKFILES: &[&str] = &["yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"];

/// The parts of package.json that a recipe needs.
#[derive(Debug, Default, Deserialize)]
struct Package {
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(default)]
    engines: BTreeMap<String, String>,
    /// Only the names are used, so that any value is accepted.
    #[serde(default)]
    dependencies: serde_json::Value,
    main: Option<String>,
}

/// Far more than a package.json has. A hostile one must not take much memory.
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

/// Proxy, CA file and mirrors as variables of npm and node. For npm, a `.npmrc` of the repository overrides
/// `HTTPS_PROXY`, but not `npm_config_*`.
fn network(network: &Network, mirrors: &Mirrors) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    if let Some(proxy) = &network.proxy {
        set("npm_config_proxy", proxy.as_str());
        set("npm_config_https_proxy", proxy.as_str());
        set("npm_config_noproxy", &network.direct().join(","));
        // Node 22.21 and 24 or newer use the proxy for their own requests only with this variable.
        set("NODE_USE_ENV_PROXY", "1");
    }
    if let Some(file) = &network.ca_file {
        // Adds to Node's certificates. npm's `cafile` would replace them.
        set("NODE_EXTRA_CA_CERTS", file.as_str());
    }
    if let Some(mirror) = mirrors.get("npm") {
        set("npm_config_registry", &format!("{mirror}/"));
    }
    if let Some(mirror) = mirrors.get("node") {
        // node-gyp downloads headers from it. npm does not know the settings disturl and dist-url.
        set("NODEJS_ORG_MIRROR", mirror.as_str());
    }
    variables
}

fn recipe(inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    let RecipeInputs { source, manifest, layout, .. } = inputs;
    require_texts(source, EVIDENCE)?;
    let package = package(source)?;
    let mut notes = Vec::new();
    let (node, chosen_by) = chosen(inputs, &package, &mut notes)?;
    let work = work(source, manifest, &package, &node)?;
    let start = start(inputs, &package, &node)?;
    let migrate =
        manifest.migrate.iter().map(|line| command::argv(line, &node.bin)).collect::<Result<_>>()?;
    if manifest.start.is_none() && package.scripts.contains_key("prestart") {
        let note =
            "the prestart script of package.json is not run, because the service is started without npm";
        notes.push(note.to_owned());
    }
    Ok(Recipe {
        of: &NODE,
        runtime: format!("node {}", node.version),
        // Native addons are built for the ABI of a major version.
        runtime_line: format!("node {}", node.version.split('.').next().unwrap_or_default()),
        chosen_by,
        needs: node.archive.into_iter().map(Need::Archive).collect(),
        work,
        build_environment: build_environment(layout),
        start,
        is_web: false,
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

/// Packages that store uploaded files, by default in the service's directory, which is read-only here.
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
        let cause = "the manifest has runtime = \"node\", but the repository's root has no package.json";
        return Err(bad(cause.to_owned(), "add a package.json, or remove runtime from bootagent.toml"));
    };
    // npm ignores a byte order mark, too.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with('{') {
        return Err(bad("package.json:1:1: it is not a JSON object".to_owned(), "npm init writes one"));
    }
    let package: Package = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let (cause, _) = message.rsplit_once(" at line ").unwrap_or((&message, ""));
        let at = format!("package.json:{}:{}", error.line(), error.column());
        bad(format!("{at}: {}", excerpt(cause)), "correct the line")
    })?;
    let tables =
        [("scripts", package.scripts.len(), MOST_SCRIPTS), ("engines", package.engines.len(), MOST_ENGINES)];
    match tables.into_iter().find(|(_, count, most)| count > most) {
        Some((table, count, most)) => {
            let cause = format!("package.json: {table} has {count} entries; the limit is {most}");
            Err(bad(cause, "remove unused entries"))
        }
        None => Ok(package),
    }
}

/// The request for a version that counts, and those that it overrides.
fn requests(source: &Source, manifest: &Manifest, package: &Package) -> (Request, Vec<Request>) {
    let line = |path: &str| {
        let text = source.text(path)?;
        text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
    };
    let requests = [
        (manifest.said("node", "version").map(str::to_owned), "node.version in bootagent.toml"),
        (line(".nvmrc"), ".nvmrc"),
        (line(".node-version"), ".node-version"),
        (package.engines.get("node").cloned(), "engines in package.json"),
    ];
    let mut requests =
        requests.into_iter().filter_map(|(range, by)| range.map(|range| Request { range, by }));
    (requests.next().unwrap_or(Request::any()), requests.collect())
}

/// The chosen Node, and the request that it fits. Adds a note for each other request that it does not fit.
fn chosen(
    inputs: &RecipeInputs,
    package: &Package,
    notes: &mut Vec<String>,
) -> Result<(Node, String), Unmet> {
    let (first, others) = requests(inputs.source, inputs.manifest, package);
    let node = node_choice::choose(&first, inputs)?;
    for other in others.iter().filter(|other| !other.fits(&node.version).unwrap_or(false)) {
        notes.push(format!(
            "Node {} is used for {} ({}), although {} requests {}",
            node.version,
            first.shown(),
            first.by,
            other.by,
            other.shown()
        ));
    }
    Ok((node, format!("{}: {}", first.by, first.shown())))
}

/// The commands: install, build, and after a build, removal of development dependencies.
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
                add(Phase::Install, &name, "install in the manifest", argv, line);
            }
        }
        None => {
            lockfile(source)?;
            let (line, omit) =
                if builds.is_empty() { ("npm ci --omit=dev", "--omit=dev") } else { ("npm ci", "") };
            let argv = npm(&node.bin, &["ci", "--no-audit", "--no-fund", omit]);
            add(Phase::Install, "install", "installs exactly the versions in the lockfile", argv, line);
        }
    }
    for (index, line) in builds.iter().enumerate() {
        let name = numbered("build", index, builds.len());
        let argv = command::argv(line, &node.bin)?;
        add(Phase::Build, &name, "builds what the service runs", argv, line);
    }
    if !builds.is_empty() && !own_install {
        let line = "npm prune --omit=dev";
        let why = "only the build needs development dependencies";
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
            format!(
                "the commit has {foreign} and no package-lock.json, and only npm's lockfile is supported"
            ),
        )
        .remedy("commit a package-lock.json, or name the commands with install = [...] in bootagent.toml")),
        None => Err(Error::new(
            Code::LockfileMissing,
            doing,
            "the commit has no package-lock.json, so two boots could install different versions of packages",
        )),
    }
}

fn build_environment(layout: &Layout) -> BTreeMap<String, String> {
    // NODE_ENV stays unset: with "production", npm does not install what a build needs.
    [
        ("CI", "true".to_owned()),
        // PrivateTmp: removed with the command, so that a commit cannot leave files for the next one's build.
        ("HOME", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("npm_config_cache", npm_cache(layout).display().to_string()),
        // npm retries each download five times within half a minute. Then bootagent repeats the whole installation.
        ("npm_config_fetch_retries", "5".to_owned()),
        ("npm_config_fetch_retry_factor", "3".to_owned()),
        ("npm_config_fetch_retry_maxtimeout", "10000".to_owned()),
        ("npm_config_fetch_retry_mintimeout", "500".to_owned()),
        ("npm_config_update_notifier", "false".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// npm's cache in /tmp: the HOME of a migration is the service's data, where the cache would stay.
fn migrate_environment() -> BTreeMap<String, String> {
    [("npm_config_cache", "/tmp/npm"), ("npm_config_update_notifier", "false")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// `start` in the manifest, else package.json's start script, else its main file, else server.js.
fn start(inputs: &RecipeInputs, package: &Package, node: &Node) -> Result<Start> {
    let RecipeInputs { source, manifest, .. } = inputs;
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
    // The main file of a package.json often does not exist. Whether a file below the root exists is unknown if the
    // commit comes from a record, so such a name is used unchecked.
    let there = |main: &&str| main.contains('/') || source.has(main);
    let main = package.main.as_deref().map(|main| main.trim_start_matches("./")).filter(there);
    match main.or_else(|| source.has("server.js").then_some("server.js")) {
        Some(path) if !Path::new(path).is_absolute() => Ok(file(path)),
        // A file of the supervisor, such as PM2's ecosystem file, names what is started.
        _ if inputs.is_started_by_supervisor => {
            Ok(Start { argv: Vec::new(), environment: BTreeMap::new(), is_wrapped: false, notifies: false })
        }
        _ => Err(Error::new(
            Code::ManifestInvalid,
            "looking for the start command",
            "there is no start in bootagent.toml, no scripts.start or main in package.json, and no server.js",
        )
        .remedy("add start = \"node server.js\" (or the service's start command) to bootagent.toml")),
    }
}
