//! Errors for a repository of which no convention tells how it starts.

use super::docker;
use crate::error::{Code, Error};
use crate::facts::Source;
use crate::planner::runtime::node::package::Package;
use crate::secret::excerpt;

pub const DOING: &str = "looking for the start command";

/// A development server compiles at each request, watches files, and trusts everybody who reaches it.
pub fn only_for_development_server(start: &str, package: &Package) -> Error {
    let cause =
        format!("scripts.start is {}, a development server{}", excerpt(start), other_adapter(package));
    Error::new(Code::ManifestInvalid, DOING, cause).remedy(
        "add a script start:prod that starts what the build makes, or the same as start = \"...\" in bootagent.toml",
    )
}

/// SvelteKit and Astro make a server for Node only with an adapter for it.
pub fn other_adapter(package: &Package) -> String {
    let adapters = [
        ("@sveltejs/kit", "@sveltejs/adapter-", "@sveltejs/adapter-node"),
        ("astro", "@astrojs/", "@astrojs/node"),
    ];
    let Some((framework, prefix, wanted)) =
        adapters.into_iter().find(|(framework, ..)| package.has(framework))
    else {
        return String::new();
    };
    let known = ["netlify", "vercel", "cloudflare", "static", "auto"];
    let other = known.iter().map(|name| format!("{prefix}{name}")).find(|name| package.has(name));
    let other = other.map_or(String::new(), |other| format!(", and not {other}"));
    format!("; {framework} makes a server for Node with {wanted}{other}")
}

pub fn no_start(package: &Package, source: &Source) -> Error {
    let scripts: Vec<&str> = package.scripts.keys().map(String::as_str).collect();
    let scripts = match scripts.is_empty() {
        true => String::new(),
        false => format!(" (its scripts are {})", excerpt(&scripts.join(", "))),
    };
    let cause = format!(
        "there is no start in bootagent.toml, no Procfile, no scripts.start or main in package.json{scripts}, no framework that is known, and no file such as server.js{}",
        other_adapter(package)
    );
    let remedy = match source.text("Dockerfile").and_then(docker::command) {
        Some(line) => {
            format!("add start = \"{}\" to bootagent.toml: its Dockerfile starts so", excerpt(&line))
        }
        None => {
            "add start = \"node server.js\" (or the service's start command) to bootagent.toml".to_owned()
        }
    };
    Error::new(Code::ManifestInvalid, DOING, cause).remedy(remedy)
}
