//! Records of earlier runs: which of them are this instance's, and how a record is written.

use std::path::Path;

use super::Wanted;
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Facts, Good, Service};

/// The last generation of this very instance that passed. One that came with the image is none: its
/// environment was another instance's.
pub fn good<'a>(wanted: &'a Wanted) -> Option<&'a Good> {
    good_of(wanted.facts, &wanted.selection.service)
}

pub fn good_of<'a>(facts: &'a Facts, service: &Service) -> Option<&'a Good> {
    let good = facts.good.get(service)?;
    (good.instance == instance(facts)).then_some(good)
}

/// Whether anything passed on this very instance, this service or a former one: then a new choice must prove itself.
pub fn has_served(facts: &Facts) -> bool {
    facts.good.values().any(|good| good.instance == instance(facts))
}

pub fn instance(facts: &Facts) -> Option<String> {
    facts.instance.as_ref().map(|instance| instance.id.clone())
}

/// The commit that was last put to run on this very instance.
pub fn attempted<'a>(facts: &'a Facts, service: &Service) -> Option<&'a Commit> {
    let attempt = facts.attempted.get(service)?;
    (attempt.instance == instance(facts)).then_some(&attempt.commit)
}

pub fn name(release: &Path) -> String {
    release.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub fn text<T: serde::Serialize>(record: &T) -> Result<String> {
    serde_json::to_string_pretty(record)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(Code::Bug, "writing a record", error))
}
