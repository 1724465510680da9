//! Errors for a repository of which no convention tells how it starts.

use super::word::program;
use crate::error::{Code, Error};
use crate::facts::Source;
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::node::workspace::Workspaces;
use crate::planner::runtime::procfile;
use crate::planner::runtime::{below, image_start};
use crate::secret::excerpt;

pub const DOING: &str = "looking for the start command";

/// A development server compiles at each request, watches files, and trusts all who reach it.
pub fn only_for_development_server(start: &str, package: &Package) -> Error {
    let cause =
        format!("scripts.start is {}, a development server{}", excerpt(start), other_adapter(package));
    // Nothing that the build makes could be started.
    let remedy = match adapter_of(package) {
        Some((framework, _, adapter)) if !package.has(adapter) => format!(
            "add {adapter} to package.json, and use it as the adapter in the configuration of {framework}; or write another start as start = \"...\" in bootagent.toml"
        ),
        _ => "add a script start:prod that starts what the build makes, or the same as start = \"...\" in bootagent.toml".to_owned(),
    };
    Error::new(Code::ManifestInvalid, DOING, cause).remedy(remedy)
}

/// `vite preview` of SvelteKit, where no adapter makes a server for Node: by the machine's address it answers, so that the
/// health check would pass, and by the service's domain name it refuses every request. A static site has no other server.
pub fn preview_without_server(line: &str, package: &Package) -> Option<Error> {
    let has_no_server = package.has("@sveltejs/kit")
        && !package.has("@sveltejs/adapter-node")
        && !package.has("@sveltejs/adapter-static");
    if !has_no_server || program(line) != Some(("vite", "preview")) {
        return None;
    }
    let cause = format!(
        "vite preview refuses requests by a domain name, and is not meant for production{}",
        other_adapter(package)
    );
    let remedy = "add @sveltejs/adapter-node to package.json, and use it in svelte.config.js; to start vite preview nevertheless, write it as start in bootagent.toml";
    Some(Error::new(Code::ManifestInvalid, DOING, cause).remedy(remedy))
}

/// SvelteKit and Astro make a server for Node only with an adapter for it.
pub fn other_adapter(package: &Package) -> String {
    let Some((framework, prefix, wanted)) = adapter_of(package) else { return String::new() };
    let known = ["netlify", "vercel", "cloudflare", "static", "auto"];
    let other = known.iter().map(|name| format!("{prefix}{name}")).find(|name| package.has(name));
    let other = other.map_or(String::new(), |other| format!(", and not {other}"));
    format!("; {framework} makes a server for Node with {wanted}{other}")
}

/// The framework, what the names of its adapters begin with, and the adapter that makes a server for Node.
fn adapter_of(package: &Package) -> Option<(&'static str, &'static str, &'static str)> {
    let adapters = [
        ("@sveltejs/kit", "@sveltejs/adapter-", "@sveltejs/adapter-node"),
        ("astro", "@astrojs/", "@astrojs/node"),
    ];
    adapters.into_iter().find(|(framework, ..)| package.has(framework))
}

/// A Procfile whose processes are all no `web`, where only a file's name could choose another start.
pub fn several_processes(procfile: &str) -> Option<Error> {
    let names = procfile::undecided(procfile)?;
    let cause = format!("the Procfile has {}, and no web", excerpt(&names.join(" and ")));
    let remedy = "name the service's process web in the Procfile, or write its line as start in bootagent.toml, and the others as [processes.NAME]";
    Some(Error::new(Code::ManifestInvalid, DOING, cause).remedy(remedy))
}

/// Scripts of services that have no `start`.
const OTHER_SCRIPTS: &[&str] = &["serve", "server", "worker", "bot", "web", "api", "run"];

pub fn no_start(package: &Package, workspaces: &Workspaces, source: &Source) -> Error {
    let scripts: Vec<&str> = package.scripts.keys().map(String::as_str).collect();
    let scripts = match scripts.is_empty() {
        true => String::new(),
        false => format!(" (its scripts are {})", excerpt(&scripts.join(", "))),
    };
    // `npm init` writes index.js, also where no such file is.
    let main = match package.main.as_deref() {
        Some(main) => format!(
            " in package.json{scripts}, no file {} that its main names and Node could run",
            excerpt(main)
        ),
        None => format!(" or main in package.json{scripts}"),
    };
    let cause = format!(
        "there is no start in bootagent.toml, no Procfile, no scripts.start{main}, no framework that is known, and no file such as server.js{}",
        other_adapter(package)
    );
    let remedy = match image_start::remedy(source) {
        Some(remedy) => remedy,
        None => {
            let script = OTHER_SCRIPTS.iter().find(|name| package.scripts.contains_key(**name));
            let line = script.map_or("node server.js".to_owned(), |name| format!("npm run {name}"));
            format!("add start = \"{line}\" (or the service's start command) to bootagent.toml")
        }
    };
    let remedy = match workspace_with_bin(workspaces) {
        Some(directory) => format!(
            "if {directory} is the service, add directory = {} to bootagent.toml: its package.json has a bin; else {remedy}",
            procfile::in_toml(directory)
        ),
        None => remedy,
    };
    let below = below::files_below(source, &["package.json"]);
    let remedy = match below::remedy(source, &below).filter(|_| package.workspaces.is_empty()) {
        // Its packages are tools for the whole repository.
        Some(directory) if package.dependencies.is_empty() => format!("write {directory}; or {remedy}"),
        Some(directory) => format!("{remedy}; if the service is in a directory, write {directory}"),
        None => remedy,
    };
    Error::new(Code::ManifestInvalid, DOING, cause).remedy(remedy)
}

/// The workspace that has a command, such as `packages/cli`. Of several the one that uses most of the others.
fn workspace_with_bin(workspaces: &Workspaces) -> Option<&str> {
    let with_bin = workspaces.iter().filter(|(_, package)| package.bin.is_some());
    with_bin
        .map(|(directory, _)| directory)
        .max_by_key(|directory| workspaces.with_dependencies(directory).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::runtime::node::package;

    #[test]
    fn the_preview_of_sveltekit_needs_an_adapter_that_makes_a_site() {
        let refused = |line: &str, packages: &[&str]| {
            let all: Vec<String> = packages.iter().map(|name| format!("\"{name}\": \"1\"")).collect();
            let json = format!(r#"{{"devDependencies": {{{}}}}}"#, all.join(", "));
            preview_without_server(line, &package::parse("package.json", &json).unwrap()).is_some()
        };
        for packages in [&["@sveltejs/kit", "@sveltejs/adapter-auto"][..], &["@sveltejs/kit"]] {
            assert!(refused("vite preview", packages) && refused("vite preview --host", packages));
            assert!(!refused("node server.js", packages) && !refused("vite build && vite preview", packages));
        }
        for other in [
            &["@sveltejs/kit", "@sveltejs/adapter-node"][..],
            &["@sveltejs/kit", "@sveltejs/adapter-static"],
            &["vite"],
        ] {
            assert!(!refused("vite preview", other), "{other:?}");
        }
    }
}
