//! Services without a repository, such as a database server: the operator's manifest is their source. The planner
//! says which runtimes need no repository.

use std::path::Path;

use super::flag_file::flag_file;
use super::manifest::{Manifest, Table};
use super::policy::Flags;
use crate::error::Result;
use crate::facts::{OwnManifest, Service};
use crate::machine::{Observe, blocking};

/// The operator's manifests, each with the name of its service.
const DIRECTORY: &str = "/etc/bootagent/services";

/// Whether a service may turn out to need no repository, so that a policy without one is not an error yet.
pub fn may_need_no_repository(machine: &impl Observe, flags: &Flags) -> bool {
    match (&flags.overrides.manifest, &flags.overrides.policy) {
        (Some(_), _) => true,
        // With `--policy`, nothing in /etc/bootagent counts.
        (None, Some(_)) => false,
        (None, None) => machine.exists(Path::new(DIRECTORY)),
    }
}

/// The operator's manifest for this service, with its origin.
pub async fn of_the_operator(
    machine: &impl Observe,
    flags: &Flags,
    service: &Service,
) -> Result<Option<(OwnManifest, &'static str)>> {
    if let Some(path) = &flags.overrides.manifest {
        let text = flag_file(machine, path, "--manifest").await?;
        return Ok(Some((OwnManifest { path: path.display().to_string(), text }, "flag")));
    }
    if flags.overrides.policy.is_some() {
        return Ok(None);
    }
    let path = format!("{DIRECTORY}/{service}.toml");
    let text = machine.policy_text(Path::new(&path)).await?;
    Ok(text.map(|text| (OwnManifest { path, text }, "the operator's, replaces the repository's")))
}

/// The same, if its runtime is one of those that need no repository.
pub async fn own_manifest(
    machine: &impl Observe,
    flags: &Flags,
    service: &Service,
    tables: Vec<&'static Table>,
    needs_no_repository: fn(&Manifest) -> bool,
) -> Result<Option<OwnManifest>> {
    let Some((own, _)) = of_the_operator(machine, flags, service).await? else { return Ok(None) };
    let read = move || {
        let manifest = Manifest::parse(&own.path, &own.text, None, &tables)?;
        Ok(needs_no_repository(&manifest).then_some(own))
    };
    blocking(read).await
}
