//! Packages of the distribution, if the manifest asks for any.

use std::collections::BTreeMap;

use super::Wanted;
use super::runtime::Recipe;
use super::steps::{Added, Steps};
use crate::error::{Code, Error, Result};
use crate::facts::Network;
use crate::fault::Phase;
use crate::observe::Selection;
use crate::plan::*;

/// Not the service's: while it runs, another run waits for dpkg's lock, as for anybody else's.
const UNIT: &str = "bootagent-packages.service";

/// Adds the step, before anything is built with them; whether there is one.
pub fn install(steps: &mut Steps, wanted: &Wanted, recipe: &Recipe) -> Result<bool> {
    let selection = wanted.selection;
    let mut names = wanted.manifest.packages.clone();
    let why = match names.is_empty() {
        true => format!("{} needs them", recipe.of.name),
        false => "the manifest asks for them".to_owned(),
    };
    for name in recipe.packages() {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        return Ok(false);
    }
    let doing = || format!("planning the packages {}", names.join(", "));
    if !selection.packages.allowed {
        let cause = format!("{why}, and the policy forbids packages");
        return Err(Error::new(Code::PolicyRefused, doing(), cause)
            .remedy("add them to the AMI, or ask its owner to set packages.allow"));
    }
    let os = &wanted.facts.machine.os;
    if !wanted.facts.machine.has_apt() {
        let cause =
            format!("on \"{}\" bootagent knows no package manager yet, only apt", os.escape_default());
        return Err(Error::new(Code::PackagesUnsupported, doing(), cause));
    }
    // Two at once would share a unit, and dpkg's lock.
    let first = steps.has("imds-nft").then_some("imds-nft");
    let mut step = add(steps, "packages", &why, names.clone(), selection);
    step.after(first.as_slice());
    steps.finished_by("packages");
    Ok(true)
}

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
    });
    let mut step = steps.add(id, why, action);
    step.after(&["clean-up"]).within(Phase::Packages).lasting(Seconds(wait.0 + Phase::Packages.seconds().0));
    step
}

/// No question can be answered, and no service of the machine is restarted in passing.
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
