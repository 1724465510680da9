//! The runtime of several containers: those of the repository's compose file. The file is read here, completely, and what
//! docker compose gets is written from what was understood (`supervisor/compose.rs`): so what was checked is what runs.

pub mod amount;
mod file;
mod health;
mod image;
mod limits;
mod members;
mod mounts;
mod named_files;
mod order;
mod ports;
pub mod project;
mod reader;
mod refused;
pub mod template;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use health::TEST;
use project::{Image, Project};
use reader::Reader;

use super::ANY_VERSION;
use super::container::is_dockerfile;
use super::docker;
use super::recipe::{Claim, Kind, Need, Recipe, RecipeInputs, Runtime, Weight};
use crate::error::{Code, Error, Result};
use crate::facts::{Evidence, Facts, Installed, Places, Source};
use crate::observe::manifest::{Key, Manifest, Table, Takes};
use crate::observe::secrets::is_name;
use crate::plan::Setting;
use crate::planner::digest::digest;
use crate::planner::env::dotenv;
use crate::planner::unmet::{Unmet, require_texts};
use crate::secret::excerpt;

pub static COMPOSE: Runtime = Runtime {
    name: NAME,
    evidence: &FILES,
    programs: &[Places {
        program: PLUGIN,
        names: &[PLUGIN],
        directories: &DIRECTORIES,
        versions: &[],
        asked: "version",
        prints: "Docker Compose version ",
        beside: &[],
    }],
    table: Table {
        name: NAME,
        keys: &[
            Key { name: "file", expected: A_FILE, takes: Takes::Text(is_dockerfile) },
            Key { name: "logins", expected: LOGINS, takes: Takes::List(is_login) },
            Key { name: "ports", expected: PORTS, takes: Takes::List(is_port) },
            Key { name: "profiles", expected: PROFILES, takes: Takes::List(reader::is_name) },
            Key { name: "text", expected: A_TEXT, takes: Takes::Document(LONGEST_TEXT) },
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

const NAME: &str = "compose";
const PLUGIN: &str = "docker-compose";
/// Where docker looks for it, in this order: in its configuration (`supervisor/docker.rs`) first.
const DIRECTORIES: [&str; 5] = [
    "/etc/bootagent/docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
/// As docker compose looks for them.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// What docker compose would read as well, without being asked to.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// In place of a file's name.
const IN_THE_MANIFEST: &str = "compose.text";
/// Bytes. The manifest itself has a limit.
const LONGEST_TEXT: usize = 64 << 10;
const A_TEXT: &str = "the text of a compose file, in triple quotes";
const A_FILE: &str = "a path in the repository, like \"deploy/compose.yaml\"";
const LOGINS: &str = "a list of \"HOST=VARIABLE\", where the variable of the secret has user:password";
const PORTS: &str = "a list of ports in quotes, like \"9090\"";
const PROFILES: &str = "a list of names of profiles";

fn is_login(text: &str) -> bool {
    let host = |host: &str| {
        (1..=200).contains(&host.len())
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c))
    };
    text.split_once('=').is_some_and(|(registry, variable)| host(registry) && is_name(variable))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// As a Dockerfile's: beside one, a person has to say which of the two is meant.
fn detect(source: &Source) -> Option<Claim> {
    let by = FILES.into_iter().find(|file| source.has(file))?;
    Some(Claim { by, weight: Weight::Image })
}

fn recipe(inputs: &RecipeInputs) -> Result<Recipe, Unmet> {
    let manifest = inputs.manifest;
    refuse(manifest)?;
    let own = manifest.said(NAME, "text");
    let file = if own.is_some() { in_the_manifest(manifest)? } else { file(inputs)? };
    let text = match own.map_or_else(|| inputs.source.read(&file), |text| Ok(Some(text))) {
        Ok(Some(text)) => text,
        Ok(None) => "",
        Err(why) => {
            return Err(Error::new(Code::ComposeInvalid, format!("reading {file}"), why.to_owned()).into());
        }
    };
    let mut values = manifest.env.values.clone();
    if let Some(port) = manifest.port {
        values.entry("PORT".to_owned()).or_insert_with(|| port.to_string());
    }
    let reader = Reader {
        file: &file,
        source: inputs.source,
        values: &values,
        read_with: RefCell::default(),
        notes: RefCell::default(),
    };
    let read = file::read(&reader, text, &said(manifest, "profiles").collect::<Vec<_>>())?;
    let (read_with, notes) = (reader.read_with.take(), reader.notes.take());
    let project = Project {
        members: read.members,
        once: read.once,
        networks: read.networks,
        volumes: read.volumes,
        read_with,
        logins: logins(manifest),
        docker: docker::client(inputs.facts),
        also_published: said(manifest, "ports").filter_map(|port| port.parse().ok()).collect(),
        file,
    };
    // The only port that is published is the service's.
    let published: Vec<u16> = project.published().map(|(port, ..)| port).collect();
    let only = published.first().copied().filter(|first| published.iter().all(|port| port == first));
    let images: Vec<String> =
        project.members.iter().map(|(name, member)| format!("{name} {:?}", member.image)).collect();
    let names: Vec<&str> = project.members.keys().map(String::as_str).collect();
    let chosen_by = match &manifest.runtime {
        Some(_) => "runtime in bootagent.toml".to_owned(),
        None => project.file.clone(),
    };
    let setting = Setting {
        name: "image".to_owned(),
        value: shown(&project),
        origin: format!("{}, containers {}", project.file, names.join(", ")),
    };
    Ok(Recipe {
        runtime_line: format!("compose {} {}", project.file, digest(images.iter().map(String::as_str))),
        chosen_by,
        settings: vec![setting],
        needs: needs(inputs.facts)?,
        defaults: only.map(|port| ("PORT".to_owned(), port.to_string())).into_iter().collect(),
        notes: notes.into_iter().chain(overrides(inputs.source)).collect(),
        ..Recipe::new(&COMPOSE, Kind::Compose(project))
    })
}

fn shown(project: &Project) -> String {
    let image = |image: &Image| match image {
        Image::Named(reference) => reference.clone(),
        Image::Built(build) if build.context.is_empty() => format!("built from {}", build.dockerfile),
        Image::Built(build) => format!("built from {}/{}", build.context, build.dockerfile),
    };
    let all: BTreeSet<String> = project.members.values().map(|member| image(&member.image)).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

fn said<'a>(manifest: &'a Manifest, key: &str) -> impl Iterator<Item = &'a str> {
    manifest.said(NAME, key).into_iter().flat_map(str::lines).filter(|line| !line.is_empty())
}

fn logins(manifest: &Manifest) -> BTreeMap<String, String> {
    let pairs = said(manifest, "logins").filter_map(|login| login.split_once('='));
    pairs.map(|(host, variable)| (host.to_owned(), variable.to_owned())).collect()
}

fn refuse(manifest: &Manifest) -> Result<()> {
    docker::refuse(manifest, "name a volume in the compose file: data:/app/data")?;
    if manifest.start.is_some() {
        let cause = "start names one program, and the compose file has what each container runs";
        return Err(Error::new(Code::ManifestInvalid, "planning the containers", cause)
            .remedy("write it as command of a service of the compose file"));
    }
    Ok(())
}

/// Whether the manifest names the runtime and has the file in itself.
pub(super) fn is_in_the_manifest(manifest: &Manifest) -> bool {
    manifest.runtime.as_deref() == Some(NAME) && manifest.said(NAME, "text").is_some()
}

fn in_the_manifest(manifest: &Manifest) -> Result<String> {
    match manifest.said(NAME, "file") {
        None => Ok(IN_THE_MANIFEST.to_owned()),
        Some(_) => {
            let cause = "[compose] has file and text";
            Err(Error::new(Code::ManifestInvalid, "looking for the compose file", cause)
                .remedy("remove one of them"))
        }
    }
}

/// The file that the manifest names, else the one at the root. Its text is asked for if it was never read.
fn file(inputs: &RecipeInputs) -> Result<String, Unmet> {
    let missing = |cause: String| {
        Error::new(Code::ManifestInvalid, "looking for the compose file", cause)
            .remedy("add compose.yaml, or name the file: [compose] with file = \"deploy/compose.yaml\"")
    };
    let named = inputs.manifest.said(NAME, "file").map(str::to_owned);
    let found = FILES.iter().find(|file| inputs.source.has(file)).map(|file| (*file).to_owned());
    let file =
        named.or(found).ok_or_else(|| missing(format!("the repository has no {}", FILES.join(", "))))?;
    require_texts(inputs.source, &[&file])?;
    match inputs.source.evidence_of(&file) {
        Evidence::Absent => Err(missing(format!("there is no {}", excerpt(&file))).into()),
        _ => Ok(file),
    }
}

fn overrides(source: &Source) -> Option<String> {
    let file = OVERRIDES.into_iter().find(|file| source.has(file))?;
    Some(format!("{file} is not read: it is for a developer's machine"))
}

/// The version that has all options of the unit's commands.
const OLDEST: (u32, u32) = (2, 20);

/// Docker and its plugin, where the machine lacks them and the distribution has them.
fn needs(facts: &Facts) -> Result<Vec<Need>> {
    let docker = docker::needs(facts);
    let machine = &facts.machine;
    let missing = |cause: String, remedy: String| {
        Error::new(Code::RuntimeMissing, "looking for docker compose on the machine", cause).remedy(remedy)
    };
    let lacks = "docker's plugin is not installed";
    let package = match (plugin(facts), machine.os.as_str(), machine.major()) {
        (Some(found), ..) if is_new(&found.version) => return Ok(docker.into_iter().collect()),
        // A package would not replace it.
        (Some(old), ..) => {
            let (path, version) = (old.program.display(), excerpt(&old.version));
            return Err(missing(
                format!(
                    "the version of {path} is {version}, and {}.{} is the oldest that is supported",
                    OLDEST.0, OLDEST.1
                ),
                format!(
                    "replace {path} by the plugin of docker's release, or remove it if a package has a newer one: docker takes the first that it finds"
                ),
            ));
        }
        (None, "debian", 13..) => "docker-compose",
        (None, "ubuntu", 22..) => "docker-compose-v2",
        (None, "debian", _) => {
            return Err(missing(
                format!("{lacks}, and Debian {} has only version 1", excerpt(&machine.version)),
                "add docker-compose-plugin of docker's own repository to the AMI, or take an AMI of Debian 13 (package docker-compose) or Ubuntu (docker-compose-v2)".to_owned(),
            ));
        }
        (None, ..) => {
            let path = Path::new("/usr/local/lib/docker/cli-plugins").join(PLUGIN);
            let remedy = format!("add the plugin of docker's release to the AMI, as {}", path.display());
            return Err(missing(lacks.to_owned(), remedy));
        }
    };
    let plugin = Need::Packages(vec![package.to_owned()]);
    Ok(docker.into_iter().chain([plugin]).collect())
}

/// The one that docker takes: the first, in the order of the directories. A link that leads out of them counts as the first.
fn plugin(facts: &Facts) -> Option<&Installed> {
    let found = facts.programs.get(PLUGIN).map(Vec::as_slice).unwrap_or_default();
    found
        .iter()
        .min_by_key(|found| DIRECTORIES.iter().position(|directory| Path::new(directory) == found.bin()))
}

fn is_new(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    version == ANY_VERSION || (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_own_order_decides_which_plugin_runs() {
        let at = |directory: &str, version: &str| Installed {
            version: version.to_owned(),
            program: Path::new(directory).join(PLUGIN),
            beside: BTreeSet::new(),
        };
        let taken = |all: Vec<Installed>| {
            let facts = Facts { programs: [(PLUGIN.to_owned(), all)].into(), ..Facts::default() };
            plugin(&facts).map(|plugin| plugin.version.clone())
        };
        let (new, old) = (at(DIRECTORIES[4], "2.30.1"), at(DIRECTORIES[1], "2.12.2"));
        assert_eq!(taken(vec![new.clone(), old.clone()]).as_deref(), Some("2.12.2"));
        let (new, old) = (at(DIRECTORIES[1], "2.30.1"), at(DIRECTORIES[4], "2.12.2"));
        assert_eq!(taken(vec![new.clone(), old]).as_deref(), Some("2.30.1"));
        assert_eq!(taken(vec![new, at("/opt/compose", "2.1.0")]).as_deref(), Some("2.1.0"));
        assert_eq!(taken(Vec::new()), None);
        assert!(is_new("2.20.0") && is_new("5.0.1-desktop.1") && !is_new("2.19.9") && !is_new("1.29.2"));
    }
}
