//! The runtime of containers: the image that the manifest names, or the one that the repository's Dockerfile builds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::container::{self, AN_IMAGE, Container, DOCKERFILE, Image, NAME, Volume};
use super::recipe::{Claim, Kind, Need, Recipe, RecipeInputs, Runtime, Weight};
use super::{dockerfile, shell};
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Places, Source};
use crate::observe::manifest::{Key, Manifest, Table, Takes};
use crate::observe::secrets::is_name;
use crate::plan::Setting;
use crate::planner::env::dotenv;
use crate::planner::unmet::Unmet;

pub static DOCKER: Runtime = Runtime {
    name: NAME,
    evidence: &[DOCKERFILE],
    programs: &[Places {
        program: ENGINE,
        names: &[ENGINE],
        directories: &["/usr/bin", "/usr/sbin", "/usr/local/bin"],
        versions: &[],
        asked: "--version",
        prints: "Docker version ",
        beside: &[],
    }],
    table: Table {
        name: NAME,
        keys: &[
            Key { name: "dockerfile", expected: A_DOCKERFILE, takes: Takes::Text(container::is_dockerfile) },
            Key { name: "image", expected: AN_IMAGE, takes: Takes::Text(container::is_image) },
            Key { name: "login", expected: A_VARIABLE, takes: Takes::Text(is_name) },
            Key { name: "port", expected: "a number from 1 to 65535", takes: Takes::Port },
            Key { name: "read_only", expected: "true or false", takes: Takes::Flag },
            Key { name: "target", expected: "the name of a stage", takes: Takes::Text(container::is_target) },
            Key { name: "user", expected: A_USER, takes: Takes::Text(container::is_user) },
            Key { name: "volumes", expected: VOLUMES, takes: Takes::List(container::is_volume) },
            Key { name: "writable", expected: DIRECTORIES, takes: Takes::List(container::is_path) },
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

/// The program of docker's daemon. The client alone runs nothing.
const ENGINE: &str = "dockerd";
/// The distribution's package with daemon and client.
const PACKAGE: &str = "docker.io";

const A_DOCKERFILE: &str = "a path in the repository, like \"docker/Dockerfile\"";
const A_VARIABLE: &str = "the name of a variable of the secret, with user:password as its value";
const A_USER: &str = "a user of the image, like \"node\" or \"1000:1000\"";
const VOLUMES: &str = "a list of \"NAME:/path/in/the/container\"";
const DIRECTORIES: &str = "a list of absolute paths in the container";

/// The default of `port`, if the program in the container has one below 1024.
const UNPRIVILEGED: u16 = 8080;

fn detect(source: &Source) -> Option<Claim> {
    source.has(DOCKERFILE).then_some(Claim { by: DOCKERFILE, weight: Weight::Image })
}

/// Whether the manifest names the runtime and an image, and so all that there is to know.
pub(super) fn is_of_a_registry(manifest: &Manifest) -> bool {
    manifest.runtime.as_deref() == Some(NAME) && manifest.said(NAME, "image").is_some()
}

fn recipe(inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    let manifest = inputs.manifest;
    refuse(manifest, "name them in [docker]: volumes = [\"uploads:/app/uploads\"]")?;
    let image = image(inputs)?;
    let text = inputs.source.text(DOCKERFILE).unwrap_or_default();
    let instructions = match &image {
        Image::Built { dockerfile, target: None } if dockerfile == DOCKERFILE => {
            dockerfile::instructions(text)
        }
        _ => Vec::new(),
    };
    let named = manifest.said(NAME, "port").and_then(|port| port.parse().ok());
    let port: Option<u16> = named.or_else(|| container::exposed(instructions.iter().map(String::as_str)));
    let lines =
        |key| manifest.said(NAME, key).into_iter().flat_map(str::lines).filter(|line| !line.is_empty());
    let container = Container {
        command: manifest.start.as_deref().map(command).transpose()?.unwrap_or_default(),
        port,
        user: manifest.said(NAME, "user").map(str::to_owned),
        is_read_only: manifest.said(NAME, "read_only") != Some("false"),
        writable: lines("writable").map(str::to_owned).collect(),
        volumes: lines("volumes").filter_map(Volume::parse).collect(),
        login: manifest.said(NAME, "login").map(str::to_owned),
        docker: client(inputs.facts),
        image,
    };
    let published = port.map(|port| if port < 1024 { UNPRIVILEGED } else { port });
    let (runtime, setting) = match &container.image {
        Image::Named(image) => (format!("docker image {image}"), image.clone()),
        Image::Built { dockerfile, target } => {
            let stage = target.iter().map(|target| format!(", stage {target}")).collect::<String>();
            (format!("docker build {dockerfile}{stage}"), format!("built from {dockerfile}{stage}"))
        }
    };
    let is_named = manifest.said(NAME, "image").is_some() || manifest.said(NAME, "dockerfile").is_some();
    let origin = if is_named { "[docker] in bootagent.toml" } else { "the repository has one" };
    let chosen_by = match &manifest.runtime {
        Some(_) => "runtime in bootagent.toml".to_owned(),
        None => DOCKERFILE.to_owned(),
    };
    Ok(Recipe {
        runtime_line: runtime,
        chosen_by,
        settings: vec![Setting { name: "image".to_owned(), value: setting, origin: origin.to_owned() }],
        needs: needs(inputs.facts).into_iter().collect(),
        defaults: published.map(|port| ("PORT".to_owned(), port.to_string())).into_iter().collect(),
        ..Recipe::new(&DOCKER, Kind::Container(container))
    })
}

fn invalid(cause: impl Into<String>, remedy: &str) -> Error {
    Error::new(Code::ManifestInvalid, "planning the container", cause.into()).remedy(remedy)
}

/// Keys that change the release, which a container does not see.
pub(super) fn refuse(manifest: &Manifest, instead_of_persist: &str) -> Result<()> {
    let is_work = |commands: &Option<Vec<String>>| commands.as_ref().is_some_and(|lines| !lines.is_empty());
    let in_the_image = "a container runs what its image has";
    for (key, is_set) in [("install", is_work(&manifest.install)), ("build", is_work(&manifest.build))] {
        if is_set {
            let cause = format!("{key} has commands, and {in_the_image}");
            return Err(invalid(cause, "move them to RUN lines of the Dockerfile"));
        }
    }
    if !manifest.migrate.is_empty() {
        let cause = format!("migrate has commands, which run in the release, and {in_the_image}");
        return Err(invalid(cause, "run them in the image's entry point, before the service starts"));
    }
    for (key, paths) in [("persist", &manifest.persist), ("writable", &manifest.writable)] {
        if !paths.is_empty() {
            let cause = format!("{key} names paths of the release, which the container does not see");
            return Err(invalid(cause, instead_of_persist));
        }
    }
    Ok(())
}

fn image(inputs: &RecipeInputs) -> Result<Image> {
    let manifest = inputs.manifest;
    let (named, file) = (manifest.said(NAME, "image"), manifest.said(NAME, "dockerfile"));
    let target = manifest.said(NAME, "target").map(str::to_owned);
    match (named, file, &target) {
        (Some(_), Some(_), _) | (Some(_), None, Some(_)) => {
            let key = if file.is_some() { "dockerfile" } else { "target" };
            Err(invalid(
                format!("[docker] has image and {key}"),
                "remove one of them: an image is pulled or built",
            ))
        }
        (Some(image), None, None) => Ok(Image::Named(image.to_owned())),
        (None, file, _) => {
            let dockerfile = file.unwrap_or(DOCKERFILE).to_owned();
            // Of a commit that comes from a record, only the root's entries are known.
            if !dockerfile.contains('/') && !inputs.source.has(&dockerfile) {
                let cause =
                    format!("there is no {dockerfile} in the repository, and [docker] names no image");
                return Err(invalid(
                    cause,
                    "add it, or name an image: [docker] with image = \"ghcr.io/acme/api:1.4\"",
                ));
            }
            Ok(Image::Built { dockerfile, target })
        }
    }
}

/// The arguments of a start line. What a shell must read is given to the image's own.
fn command(line: &str) -> Result<Vec<String>> {
    let words: Vec<String> = match shell::read(line.trim()) {
        shell::Line::Plain => line.split_whitespace().map(str::to_owned).collect(),
        _ => ["/bin/sh", "-c", line.trim()].map(str::to_owned).to_vec(),
    };
    let assigns = words.first().is_some_and(|word| shell::assignment(word).is_some());
    match assigns {
        true => Err(invalid("start sets a variable in front of its program", "move it to env.values")),
        false => Ok(words),
    }
}

/// What must be installed, if the machine has no docker.
pub(super) fn needs(facts: &Facts) -> Option<Need> {
    let is_installed = facts.programs.get(ENGINE).is_some_and(|found| !found.is_empty());
    (!is_installed).then(|| Need::Packages(vec![PACKAGE.to_owned()]))
}

/// The path of docker's client, which packages install beside the daemon or in /usr/bin.
pub(super) fn client(facts: &Facts) -> PathBuf {
    let local = Path::new("/usr/local/bin");
    let daemon = facts.programs.get(ENGINE).and_then(|found| found.first());
    match daemon.is_some_and(|daemon| daemon.bin() == local) {
        true => local.join("docker"),
        false => PathBuf::from("/usr/bin/docker"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_line_becomes_arguments_of_the_image() {
        let words = |line| command(line).unwrap();
        assert_eq!(words("node server.js"), ["node", "server.js"]);
        assert_eq!(words("node a.js && node b.js"), ["/bin/sh", "-c", "node a.js && node b.js"]);
        assert!(command("A=b node server.js").is_err());
    }
}
