//! The runtime Node: the version that is asked for, the commit's package manager, what is built, and a start command that
//! runs below no other program, which would not forward signals to the service.

mod above;
mod archive;
mod build_scripts;
mod choice;
mod environment;
mod forms;
mod index;
mod installer;
mod json5;
mod manager;
mod nested;
mod package;
mod pattern;
mod pnp;
mod start;
mod version;
mod work;
mod workspace;

use std::path::PathBuf;

use super::recipe::{ArchiveNames, Claim, Kind, Need, Recipe, RecipeInputs, Runtime, Weight};
use super::{Directory, command, site};
use crate::error::Result;
use crate::facts::{Evidence, Places, Source};
use crate::observe::manifest::{Key, Table, Takes};
use crate::plan::Setting;
use crate::planner::env::dotenv;
use crate::planner::unmet::{Unmet, require_texts};
use crate::secret::excerpt;
use package::Package;

/// Of a record of an older bootagent, a plan is made without it.
const NODEMON: &str = "nodemon.json";
const PRISMA_SCHEMA: &str = "prisma/schema.prisma";

/// What says what is installed, by which manager, which Node is asked for, and how the service starts. Of lockfiles only
/// the beginning, which has the format's version.
const EVIDENCE: &[&str] = &[
    forms::JSON,
    forms::OF_PNPM[0],
    forms::OF_PNPM[1],
    ".nvmrc",
    ".node-version",
    "mise.toml",
    ".mise.toml",
    ".tool-versions",
    "head:yarn.lock",
    "head:pnpm-lock.yaml",
    ".yarnrc.yml",
    "pnpm-workspace.yaml",
    ".bun-version",
    "project.json",
    NODEMON,
    "turbo.json",
    "Dockerfile",
    PRISMA_SCHEMA,
    "Procfile",
    "next.config.js",
    "next.config.mjs",
    "next.config.cjs",
    "next.config.ts",
    // Of front ends: `start::FRONTEND_FILES`.
    "Staticfile",
    "react-router.config.ts",
    "react-router.config.js",
    "react-router.config.mjs",
    "svelte.config.js",
    "svelte.config.ts",
    "astro.config.mjs",
    "astro.config.js",
    "astro.config.ts",
    "angular.json",
    "vite.config.ts",
    "vite.config.js",
    "vite.config.mts",
    "vite.config.mjs",
];

pub use forms::file as package_file;
pub use manager::LOCKFILES;

pub static NODE: Runtime = Runtime {
    name: "node",
    evidence: EVIDENCE,
    programs: &[Places {
        program: "node",
        names: &["node"],
        directories: &["/usr/local/bin", "/usr/bin"],
        versions: &[("/usr/local/lib/nodejs", ""), ("/opt", "node")],
        asked: "--version",
        prints: "v",
        beside: &[("npm", &["npm"]), (choice::HEADERS, &["../include/node/node_version.h"])],
    }],
    table: Table { name: "node", keys: &[VERSION, installer::KEY] },
    archives: &[ArchiveNames {
        program: "node",
        is_one: archive::is_one,
        example: "node-v22.20.0-linux-x64.tar.gz",
    }],
    mirrors: &["node", "npm"],
    bundles: &["npm_config_cafile"],
    dialect: &dotenv::NODE,
    network: environment::network,
    detect,
    recipe,
};

const VERSION: Key = Key {
    name: "version",
    expected: "an npm version range like \"22\" or \">=20 <23\"",
    takes: Takes::Text(is_range),
};

/// npm takes an empty range for any version; in a manifest it is more likely a mistake.
fn is_range(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= 256 && nodejs_semver::Range::parse(text).is_ok()
}

fn detect(source: &Source) -> Option<Claim> {
    let lockfile = manager::LOCKFILES.iter().copied().find(|path| source.has(path));
    match (forms::file(source), lockfile) {
        (None, _) => None,
        (Some(_), Some(by)) => Some(Claim { by, weight: Weight::Lockfile }),
        (Some(by), None) => Some(Claim { by, weight: Weight::Package }),
    }
}

fn recipe(inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    let RecipeInputs { source, manifest, layout, .. } = inputs;
    // Of a record of an older bootagent, which did not read the others, a plan is made without them. Those of front ends
    // are asked for where they matter.
    let is_optional = |path: &str| {
        path == NODEMON
            || start::FRONTEND_FILES.contains(&path)
            || forms::OF_PNPM.contains(&path) && source.has(forms::JSON)
    };
    let is_required = |path: &&str| !path.contains('/') && !is_optional(path);
    let required: Vec<&str> = EVIDENCE.iter().copied().filter(is_required).collect();
    require_texts(source, &required)?;
    let mut package = package::package(source)?;
    package.nodemon = source.text(NODEMON).and_then(package::nodemon).or(package.nodemon);
    let mut notes = package.notes.clone();
    let above = above::above(source)?;
    let (mut node, chosen_by) = choice::chosen(inputs, &package, above.as_ref(), &mut notes)?;
    let procfile = source.text("Procfile");
    let lines = package.scripts.values().map(String::as_str).chain(manifest.start.as_deref()).chain(procfile);
    let workspaces = workspace::workspaces(source, &package, &lines.collect::<Vec<_>>())?;
    notes.extend(workspaces.notes.iter().cloned());
    let configs = EVIDENCE.iter().filter(|path| path.starts_with("next.config."));
    let unread = configs.filter_map(|path| Some((path, source.read(path).err()?)));
    notes.extend(
        unread.map(|(path, why)| format!("whether {path} makes a standalone build is not known: {why}")),
    );
    // What is installed, and where from.
    let (root, whole) = above.as_ref().map_or((*source, &package), |above| (above.source, &above.package));
    let selected = manager::selected(root, whole)?;
    notes.extend(selected.notes.iter().cloned());
    let packages = match package.has_dependencies() && selected.is_pnp(root) {
        true => start::Packages::Hook,
        false => start::Packages::Directory,
    };
    let is_bun = selected.is_bun();
    let tool = manager::tool(&selected, &node, inputs)
        // Scripts may call the manager, also if it has nothing to install.
        .filter(|_| {
            package.has_dependencies()
                || above.is_some()
                || manifest.install.is_some()
                || selected.lockfile.is_some()
                || selected.is_exact
                || package.only_for_pnpm.is_some()
                || package.engines.contains_key(selected.manager.name) && selected.manager.package.is_some()
                || is_bun
        });
    // Before Node's directory, which has another npm.
    let named_npm =
        tool.as_ref().map(|(_, programs)| programs).filter(|_| selected.manager.package.is_none());
    node.npm = named_npm.map_or(node.bin.clone(), PathBuf::from);
    let runner = start::Runner { node: &node, packages, manager: selected.manager.name, is_bun };
    let mut chosen = start::choose(inputs, &package, &workspaces, &runner)?;
    if packages == start::Packages::Hook {
        pnp::name_hook(&mut chosen.start, &mut chosen.defaults, &selected.version);
        pnp::keep_hook(&mut chosen.start, &chosen.defaults);
    }
    if let Some(agent) =
        environment::user_agent(inputs.facts, &node, &selected).filter(|_| chosen.is_script())
    {
        chosen.defaults.insert("npm_config_user_agent".to_owned(), agent);
    }
    notes.append(&mut chosen.notes);
    let installer = installer::chosen(inputs, &selected, tool.is_some(), &mut notes);
    let project = work::Project {
        manifest,
        package: whole,
        workspaces: above.as_ref().map_or(&workspaces, |above| &above.workspaces),
        above: above.as_ref(),
        own: &package,
        selected: &selected,
        node: &node,
        chosen: &chosen,
        requires_lockfile: inputs.requires_lockfile,
        uses_own_installer: installer.is_own,
        generates_prisma_client: generates_prisma_client(source, &package),
        uses_nx: root.has("nx.json"),
        uses_turbo: packages == start::Packages::Directory && uses_turbo(root, whole),
    };
    let work = work::work(&project, &mut notes)?;
    let place = Directory {
        of_the_root: project.of_the_root(&work),
        programs_of_the_root: above.iter().map(|_| "node_modules/.bin".to_owned()).collect(),
        ..Directory::default()
    };
    let root_install =
        project.root_install(&work).filter(|_| above.is_some() || source.directory().is_none());
    let builds = work.iter().any(|work| work.name.starts_with("build"));
    let has = |path: &str| source.has(path);
    let of_start = start::Project { package: &package, workspaces: &workspaces, has: &has };
    notes.extend(start::unbuilt::note(source, manifest, &of_start, &chosen, builds));
    let built: Vec<&str> =
        work.iter().filter(|work| work.name.starts_with("build")).map(|work| work.line.as_str()).collect();
    notes.extend(start::migrating::note(manifest, &of_start, &built));
    let migrate = manifest
        .migrate
        .iter()
        .map(|line| command::argv(line, &node.bin, &node.npm))
        .collect::<Result<_>>()?;
    let mut path = vec![node.bin.display().to_string()];
    let at = if node.npm == node.bin { 1 } else { 0 };
    path.splice(at..at, tool.iter().map(|(_, programs)| programs.clone()));
    let directory = chosen.directory.iter().map(|directory| format!("{directory}/node_modules/.bin"));
    let programs = directory.chain(["node_modules/.bin".to_owned()]).collect();
    let mut defaults = chosen.defaults.clone();
    let mut build_environment = environment::build(inputs, root, &selected, &node);
    let found = chosen.site.take();
    let mut site = None;
    if let Some(found) = found {
        let unset = |(name, _): &&(&str, &str)| !manifest.env.values.contains_key(*name);
        let variables = found.variables.iter().filter(unset);
        build_environment.extend(variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        defaults.insert("PORT".to_owned(), site::PORT.to_owned());
        chosen.origin = found.origin;
        let made = site::site(inputs, found.convention, &mut notes)?;
        chosen.line = made.roots.join(", ");
        site = Some(made);
    } else {
        defaults.insert("NODE_ENV".to_owned(), "production".to_owned());
    }
    if environment::runs_npx(&chosen.line) || chosen.runs_unread {
        defaults.extend(environment::no_fetch());
    }
    Ok(Recipe {
        of: &NODE,
        runtime: format!("node {}", node.version),
        // Native addons are built for the ABI of a major version.
        runtime_line: format!("node {}", node.version.split('.').next().unwrap_or_default()),
        chosen_by,
        settings: settings(&selected, &chosen, site.is_some(), installer.setting),
        directory: place,
        first: Vec::new(),
        needs: node
            .archive
            .into_iter()
            .map(Need::Archive)
            .chain(tool.map(|(tool, _)| Need::Tool(tool)))
            .chain(site.as_ref().and_then(|_| site::needs(inputs.facts)))
            .collect(),
        work,
        build_environment,
        tool_environment: environment::shared_tools(layout),
        tool_installer: installer::of_tools(inputs).then(|| node.version.clone()),
        guess: chosen.is_guess.then(|| format!("{} ({})", excerpt(&chosen.line), chosen.origin)),
        keeps_home: leaves_files_at_home(&package) || leaves_files_at_home(whole),
        start: chosen.start,
        migrate,
        migrate_lines: manifest.migrate.clone(),
        migrate_environment: environment::migrate(),
        dotenv: NODE.dialect,
        defaults,
        programs,
        path,
        caches: vec![layout.cache().join(selected.manager.cache)],
        stores_uploads: stores_uploads(&package),
        writes: chosen.writes,
        root_install,
        kind: site.map_or(Kind::Program, Kind::Site),
        writable: Vec::new(),
        is_web: start::is_web(
            chosen.directory.as_deref().and_then(|at| workspaces.at(at)).unwrap_or(&package),
        ),
        notes,
    })
}

/// What conventions chose, and which one.
fn settings(
    selected: &manager::Selected,
    chosen: &start::Chosen,
    is_site: bool,
    installer: Option<Setting>,
) -> Vec<Setting> {
    let setting = |name: &str, value: String, origin: &str| Setting {
        name: name.to_owned(),
        value,
        origin: origin.to_owned(),
    };
    let manager = format!("{} {}", selected.manager.name, selected.version);
    let manager = setting("packages", manager.trim().to_owned(), &selected.origin);
    let name = if is_site { "site" } else { "start" };
    let start = setting(name, excerpt(&chosen.line), &chosen.origin);
    let start = Some(start).filter(|start| !start.origin.is_empty());
    [manager].into_iter().chain(installer).chain(start).collect()
}

/// Prisma's client is generated from the schema, by its program, or by a hook of its package that hides every failure.
fn generates_prisma_client(source: &Source, package: &Package) -> bool {
    let is_there = |path| matches!(source.evidence_of(path), Evidence::Text(_) | Evidence::Unread(_));
    package.has("prisma")
        && package.has("@prisma/client")
        && is_there(PRISMA_SCHEMA)
        && !package.scripts.values().any(|line| line.contains("prisma generate"))
}

/// Whether Turborepo has a task for builds. It refuses to run where `packageManager` is missing.
fn uses_turbo(source: &Source, package: &Package) -> bool {
    let has_build = |text: &str| text.contains("\"build\"");
    package.has("turbo") && package.names_manager && source.text("turbo.json").is_some_and(has_build)
}

/// Packages whose installation downloads a program to `~/.cache`.
const DOWNLOADS: &[&str] =
    &["puppeteer", "playwright", "playwright-chromium", "playwright-firefox", "playwright-webkit", "cypress"];

/// Whether an installation may leave files in HOME that the service needs.
fn leaves_files_at_home(package: &Package) -> bool {
    package.runs_at_install() || DOWNLOADS.iter().any(|name| package.depends_on(name))
}

/// Packages that store uploaded files, by default in the service's directory, which is read-only here.
const UPLOADS: &[&str] = &["@strapi/strapi", "multer", "formidable", "express-fileupload", "busboy"];

fn stores_uploads(package: &Package) -> Option<&'static str> {
    UPLOADS.iter().copied().find(|name| package.depends_on(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_shows_a_front_end_is_fetched() {
        assert!(start::FRONTEND_FILES.iter().all(|path| EVIDENCE.contains(path)));
    }
}
