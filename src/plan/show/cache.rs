//! How a plan shows the steps of the release cache.

use std::path::Path;

use crate::plan::{CacheObject, CachedPackages, CachedRelease};

pub fn restore(cached: &CachedRelease) -> String {
    format!("take {} from the release cache, if it has it", cached.release.display())
}

pub fn store(cached: &CachedRelease) -> String {
    let at = cached.object.as_ref().map(|object| object.at.to_string()).unwrap_or_default();
    format!("write {at} if it is absent")
}

pub fn store_packages(cached: &CachedPackages) -> String {
    let at = cached.object.as_ref().map(|object| object.at.to_string()).unwrap_or_default();
    format!("write the packages of the lockfile to {at} if they are absent")
}

pub fn lines(cached: &CachedRelease) -> Vec<String> {
    places(cached.image.as_deref(), cached.object.as_ref())
}

pub fn packages(cached: &CachedPackages) -> Vec<String> {
    let image = cached.image.as_ref().map(|directory| directory.join("*"));
    let mut lines = places(image.as_deref(), cached.object.as_ref());
    lines.push("each is verified by its hash in the lockfile before it is installed".to_owned());
    lines
}

fn places(image: Option<&Path>, object: Option<&CacheObject>) -> Vec<String> {
    let image = image.map(|path| format!("from {}, which only root can change", path.display()));
    let object = object.map(|object| {
        format!("from {}, authenticated with the key in the secret {}", object.at, object.secret)
    });
    image.into_iter().chain(object).collect()
}
