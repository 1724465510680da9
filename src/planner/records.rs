//! Records of earlier runs: those that count for this instance, and the format of a record. A record of another
//! instance is in the AMI that was made from it, and does not count.

use std::collections::BTreeSet;
use std::path::Path;

use super::Wanted;
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Facts, Generation, Good, Service};

/// The last healthy deployment of the selected service on this instance.
pub fn good<'a>(wanted: &'a Wanted) -> Option<&'a Good> {
    good_of(wanted.facts, &wanted.selection.service)
}

/// The last healthy deployment of a service on this instance.
pub fn good_of<'a>(facts: &'a Facts, service: &Service) -> Option<&'a Good> {
    let good = facts.good.get(service)?;
    (good.instance == instance(facts)).then_some(good)
}

/// Whether a deployment of any service was healthy on this instance. If so, a new choice of service, commit or flags is
/// recorded only after its health check.
pub fn has_served(facts: &Facts) -> bool {
    facts.good.values().any(|good| good.instance == instance(facts))
}

/// The instance's id. `None` if the machine is not an EC2 instance.
pub fn instance(facts: &Facts) -> Option<String> {
    facts.instance.as_ref().map(|instance| instance.id.clone())
}

/// The commit that was last started on this instance.
pub fn attempted<'a>(facts: &'a Facts, service: &Service) -> Option<&'a Commit> {
    let attempt = facts.attempted.get(service)?;
    (attempt.instance == instance(facts)).then_some(&attempt.commit)
}

/// The ports on which this deployment was observed to listen when it was last healthy.
pub fn listened(facts: &Facts, service: &Service, generation: &Generation) -> BTreeSet<u16> {
    let of = facts.listened.get(service).filter(|listened| listened.release == generation.release);
    of.map(|listened| listened.ports.clone()).unwrap_or_default()
}

/// A release's name, which is also its records' file name.
pub fn name(release: &Path) -> String {
    release.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A record as JSON.
pub fn text<T: serde::Serialize>(record: &T) -> Result<String> {
    serde_json::to_string_pretty(record)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(Code::Bug, "writing a record", error))
}
