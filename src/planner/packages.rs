//! The steps that install packages of the distribution, for the manifest, a runtime or the rules for IMDS.

use std::collections::BTreeMap;
use std::path::Path;

use super::runtime::Recipe;
use super::steps::{Added, Steps};
use super::volume::place;
use super::{Wanted, hooks};
use crate::error::{Code, Error, Result};
use crate::facts::Network;
use crate::fault::Phase;
use crate::observe::Selection;
use crate::plan::*;

/// One name for all services: dpkg has one lock, so there is one installation at a time.
const UNIT: &str = "bootagent-packages.service";
const NGINX: &str = "nginx";
const OWN_UNITS: &str = "/etc/systemd/system";

/// Adds the step for packages of the manifest and the runtime. Returns whether there are any.
pub fn install(steps: &mut Steps, wanted: &Wanted, recipe: &Recipe) -> Result<bool> {
    let selection = wanted.selection;
    let mut names = wanted.manifest.packages.clone();
    let why = match names.is_empty() {
        true if recipe.site().is_some() => "nginx serves the site".to_owned(),
        true if wanted.manifest.proxy.is_some() && recipe.packages().all(|name| name == NGINX) => {
            "nginx is the proxy in front of the service".to_owned()
        }
        true if recipe.data_host().is_some() => "the database server".to_owned(),
        true => format!("{} needs them", recipe.of.name),
        false => "the manifest lists them".to_owned(),
    };
    let of_the_volume = place::packages(wanted.manifest).map(str::to_owned);
    for name in recipe.packages().chain(&of_the_volume) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        return Ok(false);
    }
    let doing = || format!("planning the packages {}", names.join(", "));
    if !selection.packages.allowed {
        let cause = format!("{why}, but packages.allow = false in the policy");
        return Err(Error::new(Code::PolicyRefused, doing(), cause)
            .remedy("add them to the AMI, or ask its owner to set packages.allow"));
    }
    let os = &wanted.facts.machine.os;
    if !wanted.facts.machine.has_apt() {
        let cause =
            format!("bootagent installs packages with apt only, and the OS is \"{}\"", os.escape_default());
        return Err(Error::new(Code::PackagesUnsupported, doing(), cause));
    }
    // Not at the same time: the two steps would use the same unit and dpkg's lock.
    let mut masks = Vec::new();
    let mut first: Vec<&str> =
        ["imds-nft", hooks::BEFORE_INSTALL].into_iter().filter(|id| steps.has(id)).collect();
    for unit in recipe.data_host().iter().flat_map(|host| host.server.own_units) {
        let why = "the package would start a server of its own; systemctl unmask allows it";
        let (path, nothing) = (Path::new(OWN_UNITS).join(unit), "/dev/null".into());
        let id = format!("mask-{}", unit.trim_end_matches(".service").trim_end_matches('@'));
        let id = if unit.contains('@') { format!("{id}-instances") } else { id };
        steps.link(&id, why, path, nothing).after(&["remove-leftovers"]);
        masks.push(id);
    }
    first.extend(masks.iter().map(String::as_str));
    if recipe.packages().any(|name| name == NGINX) {
        let why = "the package would start a site of its own on port 80; systemctl unmask allows it";
        let (path, nothing) = (Path::new(OWN_UNITS).join("nginx.service"), "/dev/null".into());
        steps.link("mask-nginx", why, path, nothing).after(&["remove-leftovers"]);
        first.push("mask-nginx");
    }
    let mut step = add(steps, "packages", &why, names.clone(), selection);
    step.after(&first);
    steps.finished_by("packages");
    Ok(true)
}

/// Adds a step that installs these packages. It may wait for dpkg's lock as long as the policy allows.
pub fn add<'a>(
    steps: &'a mut Steps,
    id: &str,
    why: &str,
    names: Vec<String>,
    selection: &Selection,
) -> Added<'a> {
    let wait = selection.packages.wait;
    let action = Action::InstallPackages(InstallPackages {
        names,
        unit: UNIT.to_owned(),
        wait,
        environment: environment(&selection.network),
        ca_file: selection.network.ca_file.clone(),
        repositories: repositories(selection),
    });
    let mut step = steps.add(id, why, action);
    step.after(&["remove-leftovers"])
        .within(Phase::Packages)
        .lasting(Seconds(wait.0 + Phase::Packages.seconds().0));
    step
}

/// The policy's repositories. Each has a key of its own, and apt takes nothing from it that another key signed.
fn repositories(selection: &Selection) -> Vec<AptRepository> {
    let all = selection.packages.apt.iter().map(|(name, words)| {
        let key = words.key_sha256.as_ref().map(|sha256| AptKey {
            address: words.key.clone(),
            sha256: sha256.clone(),
            path: format!("/etc/apt/keyrings/bootagent-{name}.asc").into(),
            network: selection.network.clone(),
        });
        let signed_by = key.as_ref().map_or_else(|| words.key.clone(), |key| key.path.display().to_string());
        let mut text = format!(
            "# Written by bootagent, as apt.{name} of the policy says; do not edit.\nTypes: deb\nURIs: {}\nSuites: {}\n",
            words.url, words.suite
        );
        if !words.components.is_empty() {
            text.push_str(&format!("Components: {}\n", words.components.join(" ")));
        }
        text.push_str(&format!("Signed-By: {signed_by}\n"));
        let path = format!("/etc/apt/sources.list.d/bootagent-{name}.sources").into();
        AptRepository { name: name.clone(), path, text, key }
    });
    all.collect()
}

/// Keeps debconf from asking questions, which no person can answer, and needrestart from restarting other services.
fn environment(network: &Network) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> =
        [("DEBIAN_FRONTEND", "noninteractive"), ("LANG", "C.UTF-8"), ("NEEDRESTART_SUSPEND", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    if let Some(proxy) = &network.proxy {
        for name in ["http_proxy", "https_proxy"] {
            environment.insert(name.to_owned(), proxy.to_string());
        }
        environment.insert("no_proxy".to_owned(), network.direct().join(","));
    }
    environment
}
