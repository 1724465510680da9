//! Packages of the distribution, if the manifest asks for any.

use std::collections::BTreeMap;

use super::Wanted;
use super::steps::Steps;
use crate::error::{Code, Error, Result};
use crate::fault::Slice;
use crate::plan::*;

/// Distributions with apt.
const APT: &[&str] = &["debian", "ubuntu"];
/// Not the service's: while it runs, another run waits for dpkg's lock, as for anybody else's.
const UNIT: &str = "bootagent-packages.service";

/// Adds the step, before anything is built with them; whether there is one.
pub fn install(steps: &mut Steps, wanted: &Wanted) -> Result<bool> {
    let names = &wanted.manifest.packages;
    if names.is_empty() {
        return Ok(false);
    }
    let doing = || format!("planning the packages {}", names.join(", "));
    let policy = &wanted.selection.packages;
    if !policy.allowed {
        let cause = "the manifest asks for them, and the policy forbids packages";
        return Err(Error::new(Code::PolicyRefused, doing(), cause)
            .remedy("put them into the image, or let whoever owns it set packages.allow"));
    }
    let os = &wanted.facts.machine.os;
    if !APT.contains(&os.as_str()) {
        let cause =
            format!("on \"{}\" bootagent knows no package manager yet, only apt", os.escape_default());
        return Err(Error::new(Code::PackagesUnsupported, doing(), cause));
    }
    let action = Action::InstallPackages(InstallPackages {
        names: names.clone(),
        unit: UNIT.to_owned(),
        wait: policy.wait,
        environment: environment(wanted),
        ca_file: wanted.selection.network.ca_file.clone(),
    });
    steps
        .add("packages", "the manifest asks for them", action)
        .after(&["leftovers"])
        .within(Slice::Packages)
        .lasting(Seconds(policy.wait.0 + Slice::Packages.seconds().0));
    steps.finished_by("packages");
    Ok(true)
}

/// Nobody is there to answer a question, and no service of the machine is restarted in passing.
fn environment(wanted: &Wanted) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> =
        [("DEBIAN_FRONTEND", "noninteractive"), ("LANG", "C.UTF-8"), ("NEEDRESTART_SUSPEND", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let network = &wanted.selection.network;
    if let Some(proxy) = &network.proxy {
        for name in ["http_proxy", "https_proxy"] {
            environment.insert(name.to_owned(), proxy.to_string());
        }
        environment.insert("no_proxy".to_owned(), network.direct().join(","));
    }
    environment
}
