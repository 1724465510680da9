//! Front ends without a server of their own: whether a repository is one, where its build leaves the site, and which page
//! answers a path without a file. `rows` has a row for each framework.

mod rows;

pub use rows::FILES;
use rows::{FRONTENDS, Frontend};

use super::line;
use super::project::Project;
use super::script;
use super::word::program;
use crate::error::{Code, Error, Result};
use crate::facts::Source;
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::runtime::site::{self, Convention, STATICFILE, USUAL, is_root};
use crate::planner::unmet::{Unmet, require_texts};

/// The text of a framework's configuration, and the build script.
pub struct Configured<'a> {
    text: String,
    build: &'a str,
    has_page: bool,
}

impl Configured<'_> {
    /// Whether a key of the configuration has this value, in whatever way it is written.
    fn says(&self, key: &str, value: &str) -> bool {
        let text: String = self.text.chars().filter(|c| !c.is_whitespace()).collect();
        ["'", "\"", "`", ""].iter().any(|quote| text.contains(&format!("{key}:{quote}{value}{quote}")))
    }

    /// The text of a key: `outDir: "site"`.
    fn value(&self, key: &str) -> Option<&str> {
        let at = self.text.match_indices(key).find_map(|(at, _)| {
            let before = self.text[..at].chars().next_back();
            let rest = self.text[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
            let rest = rest.strip_prefix(':')?.trim_start();
            let quote = rest.chars().next().filter(|quote| "'\"`".contains(*quote))?;
            let is_key = !before.is_some_and(|c| c.is_alphanumeric() || "_$.".contains(c));
            is_key.then(|| rest[1..].split_once(quote)).flatten()
        });
        at.map(|(value, _)| value)
    }
}

/// Servers among the dependencies: then the front end is part of a service.
const SERVERS: &[&str] = &[
    "express",
    "fastify",
    "koa",
    "@hapi/hapi",
    "restify",
    "polka",
    "hono",
    "@hono/node-server",
    "h3",
    "elysia",
    "socket.io",
    "@apollo/server",
    "graphql-yoga",
    "@nestjs/core",
];

/// Programs of start scripts that serve a front end only while it is developed, or as a preview.
const ONLY_PREVIEW: &[&str] = &[
    "react-scripts",
    "ng",
    "vue-cli-service",
    "vite",
    "astro",
    "gatsby",
    "docusaurus",
    "vitepress",
    "eleventy",
    "expo",
    "parcel",
    "webpack-dev-server",
    "live-server",
];

/// A repository that is a static site.
#[derive(Debug)]
pub struct Found {
    pub convention: Convention,
    /// What shows it.
    pub origin: String,
    pub build: Option<String>,
    pub variables: &'static [(&'static str, &'static str)],
}

/// The site of a repository whose manifest says that it is one, or which has no server.
pub fn find(inputs: &RecipeInputs, project: &Project) -> Result<Option<Found>, Unmet> {
    let RecipeInputs { source, manifest, .. } = inputs;
    let is_named =
        manifest.runtime.as_deref() == Some(site::NAME) || manifest.tables.contains_key(site::NAME);
    if is_named && manifest.start.is_some() {
        let cause = "start names a program, and runtime = \"static\" or [static] a site without one";
        return Err(Error::new(Code::ManifestInvalid, super::refuse::DOING, cause)
            .remedy("remove one of the two from bootagent.toml")
            .into());
    }
    if manifest.start.is_some() || !is_named && source.has("Procfile") {
        return Ok(None);
    }
    let Some(row) = row(source, project, is_named)? else {
        let has_file = source.has(STATICFILE) && project.package.script("start").is_none();
        let origin = if is_named { "bootagent.toml" } else { STATICFILE };
        return Ok((is_named || has_file).then(|| usual(origin)));
    };
    let of = configured(row, source, project);
    let named = row.directory.iter().find_map(|key| of.value(key));
    let named = named.map(|root| root.trim_start_matches("./").trim_end_matches('/'));
    let named = named.filter(|root| is_root(root));
    let own = named.into_iter().flat_map(|root| match row.name {
        "Angular" => vec![format!("{root}/browser"), root.to_owned()],
        _ => vec![root.to_owned()],
    });
    let roots = own.chain(row.roots.iter().map(|root| (*root).to_owned())).collect();
    let page = of.value("fallback").filter(|_| row.packages == ["@sveltejs/adapter-static"]);
    let page = page.filter(|page| is_root(page) && *page != "404.html");
    let fallback = page.or(row.fallback).map(str::to_owned);
    let build = match project.package.script("build") {
        Some(_) => None,
        None => {
            let own = (!row.build.is_empty()).then_some(row.build);
            own.or_else(|| of_another_name(row, project)).map(str::to_owned)
        }
    };
    let convention = Convention { roots, fallback };
    Ok(Some(Found { convention, origin: row.name.to_owned(), build, variables: row.variables }))
}

/// What a script of another name than `build` does, such as `docs:build`, if it is nothing but the framework's own build.
fn of_another_name<'a>(row: &Frontend, project: &'a Project) -> Option<&'a str> {
    let is_plain = |line: &str| line.chars().all(|c| c.is_ascii_alphanumeric() || " ._-/=:@".contains(c));
    let builds = |line: &&str| {
        let mut words = line.split_whitespace();
        let is_own = words.next().is_some_and(|program| row.packages.contains(&program));
        let is_of_production = words.next() == Some("build")
            && words
                .all(|word| !["-w", "--watch", "--mode", "-m"].iter().any(|other| word.starts_with(other)));
        is_own && is_of_production && is_plain(line)
    };
    project.package.scripts.values().map(String::as_str).find(builds)
}

/// A site whose framework is not known.
fn usual(origin: &str) -> Found {
    let roots = USUAL.iter().map(|root| (*root).to_owned()).collect();
    let convention = Convention { roots, fallback: None };
    Found { convention, origin: origin.to_owned(), build: None, variables: &[] }
}

fn row(source: &Source, project: &Project, is_named: bool) -> Result<Option<&'static Frontend>, Unmet> {
    let package = project.package;
    for row in FRONTENDS {
        let is_there = row.packages.iter().any(|name| package.has(name));
        if !is_there || row.without.iter().any(|name| package.has(name)) {
            continue;
        }
        // Before a question: the record of an older bootagent has no text of these files, and a service with a start script
        // must start from it also while git is down.
        if !is_named && has_server(row, project)? {
            continue;
        }
        require_texts(source, row.configs)?;
        if (row.makes_site)(&configured(row, source, project)) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn configured<'a>(row: &Frontend, source: &Source, project: &Project<'a>) -> Configured<'a> {
    let texts = row.configs.iter().filter_map(|path| source.text(path));
    let lines = texts.flat_map(str::lines).filter(|line| !line.trim_start().starts_with("//"));
    Configured {
        text: lines.collect::<Vec<_>>().join("\n"),
        build: project.package.script("build").unwrap_or_default(),
        has_page: source.has("index.html"),
    }
}

/// Whether a start script serves for production, or a dependency shows a server.
fn has_server(row: &Frontend, project: &Project) -> Result<bool> {
    let package = project.package;
    if SERVERS.iter().any(|name| package.depends_on(name)) && row.not_started.is_empty() {
        return Ok(true);
    }
    for name in ["start"].iter().chain(script::PRODUCTION) {
        if package.script(name).is_none() {
            continue;
        }
        let resolved = line::resolve(&format!("npm run {name}"), project)?;
        let is_preview = program(&resolved.line).is_some_and(|(program, _)| {
            ONLY_PREVIEW.contains(&program) || row.not_started.contains(&program)
        });
        if !is_preview && !script::is_for_development(&resolved, project)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Configured<'static> {
        Configured { text: text.to_owned(), build: "", has_page: false }
    }

    #[test]
    fn configurations_are_read_in_whatever_way_they_are_written() {
        for text in ["output: 'export'", "output:\"export\",", "  output :\n \"export\""] {
            assert!(of(text).says("output", "export"), "{text}");
        }
        for text in ["output: 'standalone'", "outputs: 'x'", ""] {
            assert!(!of(text).says("output", "export"), "{text}");
        }
        for (text, value) in [
            ("build: { outDir: \"theoutput\" }", Some("theoutput")),
            ("outDir: '../x'", Some("../x")),
            ("\"outDir\": \"a\"", Some("a")),
            ("myoutDir: 'a'", None),
            ("outDir: process.env.X", None),
        ] {
            assert_eq!(of(text).value("outDir"), value, "{text}");
        }
    }

    #[test]
    fn each_file_that_a_row_reads_is_fetched() {
        let known = |path: &&str| FILES.contains(path) || path.starts_with("next.config.");
        assert!(FRONTENDS.iter().flat_map(|row| row.configs).all(known));
    }
}
