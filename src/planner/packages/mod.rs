//! The steps that install packages of the distribution, for the manifest, a runtime or the rules for IMDS.

pub mod names;
mod repositories;

use std::collections::BTreeMap;
use std::path::Path;

use super::Wanted;
use super::runtime::Recipe;
use super::steps::{Added, BEFORE_INSTALL, Steps};
use super::volume::place;
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Network, PackageManager};
use crate::fault::Phase;
use crate::observe::Selection;
use crate::plan::*;

/// One name for all services: there is one installation at a time, because dpkg and rpm have one lock.
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
    let Some(manager) = wanted.facts.machine.package_manager() else {
        let machine = &wanted.facts.machine;
        let os = format!("{} {}", machine.os, machine.version);
        let cause = format!(
            "bootagent installs packages with apt or dnf, and the OS is \"{}\"",
            os.trim().escape_default()
        );
        return Err(Error::new(Code::PackagesUnsupported, doing(), cause));
    };
    // Not at the same time: the two steps would use the same unit and the package manager's lock.
    let masks = if manager == PackageManager::Apt { mask(steps, recipe) } else { Vec::new() };
    let mut first: Vec<&str> = ["imds-nft", BEFORE_INSTALL].into_iter().filter(|id| steps.has(id)).collect();
    first.extend(masks.iter().map(String::as_str));
    let mut step = add(steps, "packages", &why, &names, wanted.facts, selection);
    step.after(&first);
    steps.finished_by("packages");
    Ok(true)
}

/// Masks the units that Debian's packages would start. RPM packages start nothing. Returns the ids of the steps.
fn mask(steps: &mut Steps, recipe: &Recipe) -> Vec<String> {
    let mut masks = Vec::new();
    for unit in recipe.data_host().iter().flat_map(|host| host.server.own_units) {
        let why = "the package would start a server of its own; systemctl unmask allows it";
        let (path, nothing) = (Path::new(OWN_UNITS).join(unit), "/dev/null".into());
        let id = format!("mask-{}", unit.trim_end_matches(".service").trim_end_matches('@'));
        let id = if unit.contains('@') { format!("{id}-instances") } else { id };
        steps.link(&id, why, path, nothing).after(&["remove-leftovers"]);
        masks.push(id);
    }
    if recipe.packages().any(|name| name == NGINX) {
        let why = "the package would start a site of its own on port 80; systemctl unmask allows it";
        let (path, nothing) = (Path::new(OWN_UNITS).join("nginx.service"), "/dev/null".into());
        steps.link("mask-nginx", why, path, nothing).after(&["remove-leftovers"]);
        masks.push("mask-nginx".to_owned());
    }
    masks
}

/// Adds a step that installs these packages, which have Debian's names. It may wait for the package manager's lock as long as
/// the policy allows. The caller has made sure that the machine has a package manager.
pub fn add<'a>(
    steps: &'a mut Steps,
    id: &str,
    why: &str,
    debian: &[String],
    facts: &Facts,
    selection: &Selection,
) -> Added<'a> {
    let wait = selection.packages.wait;
    let manager = facts.machine.package_manager().unwrap_or(PackageManager::Apt);
    let action = Action::InstallPackages(InstallPackages {
        manager,
        names: names::here(&facts.machine, debian),
        unit: UNIT.to_owned(),
        wait,
        environment: environment(manager, &selection.network),
        ca_file: selection.network.ca_file.clone(),
        repositories: repositories::of(manager, selection),
    });
    let mut step = steps.add(id, why, action);
    step.after(&["remove-leftovers"])
        .within(Phase::Packages)
        .lasting(Seconds(wait.0 + Phase::Packages.seconds().0));
    step
}

/// Keeps debconf from asking questions, which no person can answer, and needrestart from restarting other services.
fn environment(manager: PackageManager, network: &Network) -> BTreeMap<String, String> {
    let own: &[(&str, &str)] = match manager {
        PackageManager::Apt => {
            &[("DEBIAN_FRONTEND", "noninteractive"), ("LANG", "C.UTF-8"), ("NEEDRESTART_SUSPEND", "1")]
        }
        PackageManager::Dnf => &[("LANG", "C.UTF-8")],
    };
    let mut environment: BTreeMap<String, String> =
        own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if let Some(proxy) = &network.proxy {
        for name in ["http_proxy", "https_proxy"] {
            environment.insert(name.to_owned(), proxy.to_string());
        }
        environment.insert("no_proxy".to_owned(), network.direct().join(","));
    }
    environment
}
