//! The proxy in front of a service, if the manifest asks for one: nginx in a unit of its own, so that an update of the
//! service leaves it alone. Adds no steps: `beside.rs` does.

mod configuration;
mod unit;

use super::Wanted;
use super::runtime::{Need, Recipe, nginx, nginx_need};
use crate::error::{Code, Error, Result};
use crate::facts::{Companion, ServiceFile};
use crate::observe::Selection;
use crate::observe::manifest::{Manifest, RESERVED_PORT};
use crate::plan::layout::Layout;
use crate::plan::{Gate, Probe, Request};

const REMEDY: &str =
    "or let the machine's owner allow it: low_ports = [80] in the policy (/etc/bootagent/policy.toml)";

/// Refuses the manifest's ports below 1024 that the policy does not allow.
pub fn refuse_low_ports(manifest: &Manifest, selection: &Selection) -> Result<()> {
    match manifest.low_ports.iter().find(|low| !selection.low_ports.allow(low.port)) {
        Some(low) => {
            let file = low.place.split(':').next().unwrap_or_default();
            let cause = format!("{}: {} is {}; {RESERVED_PORT}", low.place, low.key, low.port);
            let remedy = format!("choose a port from 1024 on, {REMEDY}");
            Err(Error::new(Code::ManifestInvalid, format!("reading {file}"), cause).remedy(remedy))
        }
        None => Ok(()),
    }
}

/// The same for the variable PORT, which the secret or the start command may set.
pub fn refuse_low_variable(port: Option<u16>, selection: &Selection) -> Result<()> {
    if port.is_none_or(|port| selection.low_ports.allow(port)) {
        return Ok(());
    }
    let cause = format!("PORT is below 1024, and {RESERVED_PORT}");
    let remedy =
        format!("correct PORT where it is set: the secret, env.values, or the start command; {REMEDY}");
    Err(Error::new(Code::ManifestInvalid, "planning the health check", cause).remedy(remedy))
}

/// What must be installed for the proxy.
pub fn need(wanted: &Wanted) -> Option<Need> {
    wanted.manifest.proxy.as_ref().and_then(|_| nginx_need(wanted.facts))
}

/// Refuses a proxy that cannot be: of a site, and of a service whose proxy's unit is another service's.
pub fn refuse(manifest: &Manifest, recipe: &Recipe) -> Result<()> {
    if manifest.proxy.is_some() && recipe.site().is_some() {
        let cause = "a static site is served by an nginx of its own, without a proxy in front of it";
        let remedy = "remove [proxy] from bootagent.toml, and set port to the proxy's";
        return Err(Error::new(Code::ManifestInvalid, "planning the proxy", cause).remedy(remedy));
    }
    Ok(())
}

/// The proxy's unit, and the probe that asks through it.
pub fn proxy(wanted: &Wanted, layout: &Layout, gate: &Gate) -> Result<Option<(Companion, Probe)>> {
    let Some(wish) = &wanted.manifest.proxy else { return Ok(None) };
    refuse_taken(wanted, layout)?;
    let doing = "planning the proxy";
    let Some(upstream) = gate.probe.port() else {
        let cause = "the proxy needs the port of the service, and neither bootagent.toml nor PORT names one";
        return Err(Error::new(Code::ManifestInvalid, doing, cause)
            .remedy("add port = 3000 (the service's port) to bootagent.toml, or PORT to the secret"));
    };
    if upstream == wish.port {
        let cause = format!("proxy.port is {upstream}, and so is the service's PORT");
        return Err(Error::new(Code::ManifestInvalid, doing, cause)
            .remedy("set another port for one of the two, in bootagent.toml or where PORT is set"));
    }
    let file = ServiceFile {
        name: "proxy-configuration".to_owned(),
        why: "how nginx passes requests on".to_owned(),
        path: layout.proxy_file(),
        text: configuration::configuration(wish, upstream, wanted.manifest.candidate_port, wanted.selection),
    };
    let (program, takes_error_log) = nginx(wanted.facts);
    let nginx = unit::Nginx { program, takes_error_log, configuration: &file.path };
    let companion = Companion {
        name: "proxy".to_owned(),
        why: format!("nginx on port {} in front of the service", wish.port),
        unit: layout.proxy(),
        text: unit::text(&nginx, wish.port, wanted),
        files: vec![file],
    };
    let request: Option<Request> = gate.probe.request().cloned();
    let probe = Probe::Through { unit: layout.proxy(), port: wish.port, request };
    Ok(Some((companion, probe)))
}

/// The unit's name must not be another service's, or another program's.
fn refuse_taken(wanted: &Wanted, layout: &Layout) -> Result<()> {
    let facts = wanted.facts;
    let name = layout.proxy();
    let is_service = |claimed: &crate::facts::Service| Layout::new(claimed).unit() == name;
    let is_ours = facts.claims.contains(layout.service());
    if facts.claims.iter().any(is_service) || !is_ours && facts.taken.units.contains(&name) {
        let doing = format!("taking the name {name} for the proxy of {}", layout.user());
        let cause = format!("unit {name} exists and belongs to another service or program");
        return Err(Error::new(Code::NameTaken, doing, cause));
    }
    Ok(())
}
