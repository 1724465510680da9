//! How a plan shows the steps of the release cache.

use crate::plan::CachedRelease;

pub fn restore(cached: &CachedRelease) -> String {
    format!("take {} from the release cache, if it has it", cached.release.display())
}

pub fn store(cached: &CachedRelease) -> String {
    let at = cached.object.as_ref().map(|object| object.at.to_string()).unwrap_or_default();
    format!("write {at} if it is absent")
}

pub fn lines(cached: &CachedRelease) -> Vec<String> {
    let image =
        cached.image.iter().map(|path| format!("from {}, which only root can change", path.display()));
    let object = cached.object.iter().map(|object| {
        format!("from {}, authenticated with the key in the secret {}", object.at, object.secret)
    });
    image.chain(object).collect()
}
