//! Repositories that bootagent does not run as they are: which language or generator of sites they show, and what to do.

use super::container::DOCKERFILE;
use crate::facts::Source;

/// A language, and files that its tools want at the root.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("Go", &["go.mod"]),
    ("Rust", &["Cargo.toml"]),
    ("Ruby", &["Gemfile", "config.ru"]),
    ("PHP", &["composer.json", "index.php"]),
    ("Java", &["pom.xml", "build.gradle", "build.gradle.kts"]),
    ("Deno", &["deno.json", "deno.jsonc", "deno.lock"]),
    ("Elixir", &["mix.exs"]),
    ("Scala", &["build.sbt"]),
];

/// Makers of sites whose result a repository does not have.
const SITES: &[(&str, &[&str])] = &[
    ("Hugo", &["hugo.toml", "hugo.yaml", "hugo.json"]),
    ("Jekyll", &["_config.yml"]),
    ("MkDocs", &["mkdocs.yml"]),
    ("mdBook", &["book.toml"]),
];

/// Directories in which a finished site usually is.
const PAGES: &[&str] = &["public", "dist", "html", "www", "site", "static", "build", "docs"];

/// Programs for Node, as they are usually called.
const PROGRAMS: &[&str] = &["server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs"];

/// Why no runtime was found, behind a semicolon, and the remedy.
pub fn shown(source: &Source) -> Option<(String, String)> {
    let first = |files: &[&'static str]| files.iter().copied().find(|file| source.has(file));
    let language = LANGUAGES.iter().find_map(|(language, files)| Some((*language, first(files)?)));
    let dotnet = || {
        let is_project = |path: &str| [".csproj", ".fsproj", ".sln"].iter().any(|end| path.ends_with(end));
        let mut paths = source.entries.iter().map(|entry| entry.path.as_str());
        let found = paths.find(|path| !path.contains('/') && is_project(path));
        found.map(|_| (".NET", "a project file"))
    };
    // First: a site of Jekyll has a Gemfile, and one of Hugo may have a go.mod.
    if let Some((maker, file)) = SITES.iter().find_map(|(maker, files)| Some((*maker, first(files)?))) {
        let cause = format!("{file} is there: a site that {maker} makes");
        let remedy = format!(
            "commit what {maker} makes, with runtime = \"static\" and static.root = \"DIRECTORY\" in bootagent.toml; or add a {DOCKERFILE} that builds and serves it"
        );
        return Some((cause, remedy));
    }
    if let Some((language, file)) = language.or_else(dotnet) {
        let cause = format!("{file} is there: a program in {language} runs in a container");
        let remedy = format!(
            "add a {DOCKERFILE}, which is built on the instance, or name an image: runtime = \"docker\" and docker.image = \"...\" in bootagent.toml"
        );
        return Some((cause, remedy));
    }
    if let Some(program) = first(PROGRAMS) {
        let cause = format!("{program} is there, and Node wants a package.json beside it");
        let remedy = format!(
            "commit a package.json: npm init -y writes one; with \"start\": \"node {program}\" among its scripts"
        );
        return Some((cause, remedy));
    }
    let directory = PAGES.iter().find(|directory| source.has(&format!("{directory}/index.html")))?;
    let cause = format!("{directory}/index.html is there");
    let remedy = format!(
        "if it is a site: runtime = \"static\" and static.root = \"{directory}\" in bootagent.toml; else say with runtime and start what serves it"
    );
    Some((cause, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;

    #[test]
    fn a_language_without_a_runtime_is_named_with_what_runs_it() {
        for (file, language) in
            [("go.mod", "Go"), ("Gemfile", "Ruby"), ("pom.xml", "Java"), ("shop.csproj", ".NET")]
        {
            let (cause, remedy) = shown(&source(&[(file, "")])).unwrap();
            assert!(cause.contains(language) && remedy.contains("Dockerfile"), "{file}: {cause}; {remedy}");
        }
    }

    #[test]
    fn a_site_is_told_how_it_is_served() {
        let (cause, remedy) = shown(&source(&[("hugo.toml", ""), ("content/a.md", "")])).unwrap();
        assert!(cause.contains("Hugo") && remedy.contains("static.root"), "{cause}; {remedy}");
        let (cause, remedy) = shown(&source(&[("public/index.html", "")])).unwrap();
        assert!(
            cause.starts_with("public/index.html") && remedy.contains("static.root = \"public\""),
            "{cause}; {remedy}"
        );
    }

    #[test]
    fn a_program_for_node_wants_a_package_json() {
        let (cause, remedy) = shown(&source(&[("Makefile", ""), ("server.js", "")])).unwrap();
        assert!(
            cause.starts_with("server.js ") && remedy.contains("\"start\": \"node server.js\""),
            "{cause}; {remedy}"
        );
        assert_eq!(shown(&source(&[("README.md", ""), ("src/server.js", ""), ("src/x.csproj", "")])), None);
    }
}
