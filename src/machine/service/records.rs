//! Reads bootagent's records about services, and finds services that have no record but a unit or releases of
//! bootagent. A record that cannot be used is reported with the reason, and does not prevent the use of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::facts::{Attempt, Baked, Commit, Good, Kept, Listened, Service, Unrecorded, Unusable, records};
use crate::machine::disk::files;
use crate::machine::disk::path_at::finished_name;
use crate::plan::layout::{self, Layout};

const OPT: &str = "/opt";
const UNITS: &str = "/etc/systemd/system";
/// The first words of a unit file that bootagent wrote.
const WRITTEN_BY_BOOTAGENT: &str = "# Written by bootagent";

#[derive(Default)]
pub struct Records {
    pub claims: BTreeSet<Service>,
    pub good: BTreeMap<Service, Good>,
    pub attempted: BTreeMap<Service, Attempt>,
    pub listened: BTreeMap<Service, Listened>,
    pub kept: BTreeMap<Service, Vec<Kept>>,
    pub baked: BTreeMap<Service, Baked>,
    pub unusable: BTreeMap<PathBuf, Unusable>,
    pub unrecorded: Unrecorded,
}

pub fn read() -> Result<Records> {
    let by_unit = by_unit()?;
    // Only root can read the records. A dry run of another user uses the unit files, which all users can read.
    let Some(claimed) = claimed() else { return Ok(Records { claims: by_unit, ..Records::default() }) };
    let mut found = Records { claims: claimed.union(&by_unit).cloned().collect(), ..Records::default() };
    for service in &found.claims {
        let layout = Layout::new(service);
        let kept = kept(&layout, &mut found.unusable);
        let good = one(&layout.good(), &mut found.unusable);
        let current = files::target(&layout.current()).ok().flatten();
        let good = good.or_else(|| records::good_of_kept(&kept, current.as_deref()));
        found.good.extend(good.map(|good| (service.clone(), good)));
        let attempted = one(&layout.attempt(), &mut found.unusable);
        found.attempted.extend(attempted.map(|attempt| (service.clone(), attempt)));
        let listened = one(&layout.listened(), &mut found.unusable);
        found.listened.extend(listened.map(|listened| (service.clone(), listened)));
        let baked = one(&layout.baked(), &mut found.unusable);
        found.baked.extend(baked.map(|baked| (service.clone(), baked)));
        if !kept.is_empty() {
            found.kept.insert(service.clone(), kept);
        }
    }
    let traces = by_unit.into_iter().chain(with_releases()?);
    let is_lost = |service: &Service| !claimed.contains(service) && !found.good.contains_key(service);
    found.unrecorded =
        traces.filter(is_lost).map(|service| (service.clone(), current_commit(&service))).collect();
    Ok(found)
}

/// The services with a claim; `None` if this user must not read the directory.
fn claimed() -> Option<BTreeSet<Service>> {
    let services = Path::new(layout::STATE).join("services");
    let names = files::names(&services).ok()?;
    let is_claimed = |name: &&String| files::exists(&services.join(name).join("claim")).unwrap_or(false);
    Some(names.iter().filter(is_claimed).filter_map(|name| service(name)).collect())
}

fn service(name: &str) -> Option<Service> {
    Service::try_from(name).ok()
}

/// The services whose unit file bootagent wrote. Only root can write unit files, so the first line can be trusted.
fn by_unit() -> Result<BTreeSet<Service>> {
    let units = Path::new(UNITS);
    let is_ours = |name: &String| {
        std::fs::read_to_string(units.join(name)).is_ok_and(|text| text.starts_with(WRITTEN_BY_BOOTAGENT))
    };
    let names = files::names(units)?.into_iter().filter(is_ours);
    Ok(names.filter_map(|name| service(name.strip_suffix(".service")?)).collect())
}

fn with_releases() -> Result<Vec<Service>> {
    let has_release = |service: &Service| {
        let names = files::names(&Layout::new(service).releases()).unwrap_or_default();
        names.iter().any(|name| commit_of(name).is_some())
    };
    let services = files::names(Path::new(OPT))?.into_iter().filter_map(|name| service(&name));
    Ok(services.filter(has_release).collect())
}

/// The commit in a release's name, which is `COMMIT-DIGEST`, with the digest of its recipe.
fn commit_of(release: &str) -> Option<Commit> {
    let (commit, recipe) = release.split_once('-')?;
    let is_digest = recipe.len() == 12 && recipe.bytes().all(|byte| byte.is_ascii_hexdigit());
    Commit::try_from(commit).ok().filter(|_| is_digest)
}

fn current_commit(service: &Service) -> Option<Commit> {
    let target = files::target(&Layout::new(service).current()).ok()??;
    commit_of(target.file_name()?.to_str()?)
}

fn kept(layout: &Layout, unusable: &mut BTreeMap<PathBuf, Unusable>) -> Vec<Kept> {
    let names = files::names(&layout.kept()).unwrap_or_default();
    let whole = names.iter().filter(|name| finished_name(name).is_none());
    whole.filter_map(|name| one(&layout.kept().join(name), unusable)).collect()
}

/// The record in this file; `None` if it is absent or, with an entry in `unusable`, if it cannot be used.
fn one<T: DeserializeOwned>(path: &Path, unusable: &mut BTreeMap<PathBuf, Unusable>) -> Option<T> {
    let bytes = match files::read(path) {
        Ok(bytes) => bytes?,
        Err(error) => {
            let why = error.in_public().report().causes.join(": ");
            unusable.insert(path.to_owned(), Unusable::Unreadable(why));
            return None;
        }
    };
    match records::parse(&bytes) {
        Ok(record) => Some(record),
        Err(why) => {
            unusable.insert(path.to_owned(), why);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_recognized_by_its_name() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit_of(&format!("{commit}-3895b8d15bf9")).unwrap().as_str(), commit);
        for other in [commit, "v1.2.3-3895b8d15bf9", &format!("{commit}-later"), "2024-01-01", ""] {
            assert_eq!(commit_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_broken_or_newer_record_is_reported_and_an_absent_one_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, mut unusable) = (scratch.path().join("attempt.json"), BTreeMap::new());
        assert_eq!(one::<Attempt>(&path, &mut unusable), None);
        assert!(unusable.is_empty());
        std::fs::write(&path, "{\"schema\": 9}").unwrap();
        assert_eq!(one::<Attempt>(&path, &mut unusable), None);
        assert_eq!(unusable[&path], Unusable::Newer(9));
        std::fs::write(&path, "half a rec").unwrap();
        assert_eq!(one::<Attempt>(&path, &mut unusable), None);
        assert!(matches!(&unusable[&path], Unusable::Unreadable(why) if why.contains("not a record")));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(one::<Attempt>(&path, &mut unusable), None);
        assert!(unusable[&path].to_string().contains("directory"), "{unusable:?}");
    }
}
