//! Which versions of npm are known here, and the empty directories that some of them leave of packages that they do not
//! place: those made all directories first, and removed only the packages' own again.

use std::collections::BTreeSet;

use nodejs_semver::Version;

use super::entry::Entry;
use super::platform::Platform;
use super::{Result, for_npm, quoted};

/// The directories that npm leaves, besides those of packages. `left_out` are the entries that are not placed.
pub fn directories(platform: &Platform, left_out: &[&Entry]) -> Result<Vec<String>> {
    let Some(text) = platform.npm.as_deref() else { return for_npm("the version of npm is not known") };
    let Ok(npm) = Version::parse(text) else {
        return for_npm(format!("the version {} of npm is not understood", quoted(text)));
    };
    match (npm.major(), npm.minor()) {
        (10, _) => Ok(parents(left_out)),
        (11, 6..) => Ok(Vec::new()),
        // They changed how packages are left out from release to release.
        (11, _) if left_out.is_empty() => Ok(Vec::new()),
        (11, _) => for_npm(format!("npm {npm} leaves packages out in a way of its own")),
        _ => for_npm(format!("npm {npm} is not known here")),
    }
}

/// Of each package that is in no other one of these: the directory that holds it.
fn parents(left_out: &[&Entry]) -> Vec<String> {
    let own: BTreeSet<&str> = left_out.iter().map(|entry| entry.path.as_str()).collect();
    let above =
        |path: &&str| std::iter::successors(parent(path), |path| parent(path)).any(|path| own.contains(path));
    let outermost = own.iter().filter(|path| !above(path));
    let parents: BTreeSet<&str> = outermost.filter_map(|path| parent(path)).collect();
    parents.into_iter().map(str::to_owned).collect()
}

fn parent(path: &str) -> Option<&str> {
    Some(path.rsplit_once('/')?.0)
}
