//! The runtime of static sites: plain HTML, or what the manifest's own commands build. A front end with a package.json is
//! built by `node`, which makes the same site of it.

use std::collections::BTreeMap;

use super::command;
use super::node;
use super::recipe::{Claim, Kind, Need, Recipe, RecipeInputs, Runtime, Weight, Work};
use super::site::{self, A_ROOT, Convention, NAME, PORT, STATICFILE, USUAL};
use crate::error::Result;
use crate::facts::{Places, Source};
use crate::fault::Phase;
use crate::observe::manifest::{Key, Table, Takes};
use crate::plan::Setting;
use crate::planner::env::dotenv;
use crate::planner::unmet::Unmet;

pub static STATIC: Runtime = Runtime {
    name: NAME,
    evidence: &[STATICFILE],
    programs: &[Places {
        program: "nginx",
        names: &["nginx"],
        directories: &["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin"],
        versions: &[],
        asked: "-v",
        prints: "nginx version: nginx/",
        beside: &[],
    }],
    table: Table {
        name: NAME,
        keys: &[
            Key { name: "root", expected: A_ROOT, takes: Takes::Text(site::is_root) },
            Key { name: "spa", expected: "true or false", takes: Takes::Flag },
        ],
    },
    archives: &[],
    mirrors: &[],
    bundles: &[],
    dialect: &dotenv::NODE,
    network: |_, _| BTreeMap::new(),
    detect,
    recipe,
};

/// Files of other kinds of services at the root: their index.html may be a template, and their sources are not public.
const OF_PROGRAMS: &[&str] = &[
    "Dockerfile",
    "Procfile",
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yml",
    "compose.yaml",
    "go.mod",
    "Cargo.toml",
    "Gemfile",
    "pom.xml",
    "build.gradle",
    "composer.json",
    "mix.exs",
    "deno.json",
    "package.json",
];
const PROGRAMS: &[&str] =
    &[".py", ".php", ".rb", ".go", ".rs", ".java", ".cs", ".pl", ".ex", ".sh", ".ts", ".env"];

fn detect(source: &Source) -> Option<Claim> {
    if node::package_file(source).is_some() {
        return None;
    }
    if source.has(STATICFILE) {
        return Some(Claim { by: STATICFILE, weight: Weight::Package });
    }
    let has_program = OF_PROGRAMS.iter().any(|path| source.has(path))
        || source
            .entries
            .iter()
            .any(|entry| !entry.path.contains('/') && PROGRAMS.iter().any(|end| entry.path.ends_with(end)));
    (source.has("index.html") && !has_program).then_some(Claim { by: "index.html", weight: Weight::Page })
}

fn recipe(inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    if node::package_file(inputs.source).is_some() {
        return (node::NODE.recipe)(inputs);
    }
    let manifest = inputs.manifest;
    let mut notes = Vec::new();
    let mut work = Vec::new();
    let all = [("install", Phase::Install, &manifest.install), ("build", Phase::Build, &manifest.build)];
    for (name, phase, commands) in all {
        let commands = commands.as_deref().unwrap_or_default();
        for (index, line) in commands.iter().enumerate() {
            let name = if commands.len() == 1 { name.to_owned() } else { format!("{name}-{}", index + 1) };
            let why = "a command of the manifest".to_owned();
            work.push(Work {
                name,
                why,
                argv: command::line_argv(line)?,
                line: line.clone(),
                phase,
                own_installer: None,
            });
        }
    }
    // What a build leaves comes before the page from which it was made.
    let built = USUAL.iter().chain(&["public"]).filter(|_| !work.is_empty());
    let roots = built.chain(&[".", "public"]).map(|root| (*root).to_owned()).collect();
    let site = site::site(inputs, Convention { roots, fallback: None }, &mut notes)?;
    let setting = Setting {
        name: "site".to_owned(),
        value: site.roots.join(", "),
        origin: "the first of these directories with an index.html".to_owned(),
    };
    let chosen_by = match &manifest.runtime {
        Some(_) => "runtime in bootagent.toml".to_owned(),
        None => detect(inputs.source).map_or("index.html", |claim| claim.by).to_owned(),
    };
    Ok(Recipe {
        chosen_by,
        settings: vec![setting],
        needs: site::needs(inputs.facts).into_iter().collect::<Vec<Need>>(),
        work,
        build_environment: build_environment(inputs),
        is_web: true,
        migrate: manifest.migrate.iter().map(|line| command::line_argv(line)).collect::<Result<_>>()?,
        migrate_lines: manifest.migrate.clone(),
        defaults: [("PORT".to_owned(), PORT.to_owned())].into(),
        notes,
        ..Recipe::new(&STATIC, Kind::Site(site))
    })
}

/// Public values only: a build puts them into what everyone may read.
fn build_environment(inputs: &RecipeInputs) -> BTreeMap<String, String> {
    let own = [
        ("CI", "true".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("HOME", "/tmp".to_owned()),
        ("SOURCE_COMMIT", inputs.source.commit.as_str().to_owned()),
    ];
    let mut environment: BTreeMap<String, String> = own.map(|(name, value)| (name.to_owned(), value)).into();
    environment.extend(inputs.manifest.env.values.clone());
    environment
}
