//! Makes this machine the source of an image: refuses what may not be in one, and removes what belongs to one machine.
//! Only `bootagent seal` calls it, never a step of a plan.

mod looks_secret;
mod remove;
mod secrets;
mod traces;

use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::machine::disk::files;
use crate::machine::install::kept;
use crate::plan::layout::{self, Layout};

pub use remove::remove;
pub use secrets::refuse as refuse_secrets;
pub use traces::{Trace, found};

/// Whether a run has pinned a commit here, for whichever instance.
pub fn is_pinned() -> Result<bool> {
    let instances = Path::new(layout::STATE).join("instances");
    let names = files::names(&instances)?;
    Ok(names.iter().any(|name| instances.join(name).join("decision.json").exists()))
}

/// Refuses a machine with a release or a runtime that is not complete: each instance would have to remove it first.
pub fn refuse_unfinished(facts: &Facts) -> Result<()> {
    let mut unfinished: Vec<PathBuf> = Vec::new();
    for service in &facts.claims {
        let layout = Layout::new(service);
        let whole: Vec<PathBuf> = kept::of(service)?.into_iter().map(|release| release.path).collect();
        let all = files::names(&layout.releases())?.into_iter().map(|name| layout.releases().join(name));
        unfinished.extend(all.filter(|path| !whole.contains(path)));
    }
    unfinished.extend(Some(PathBuf::from(layout::UNFINISHED_RUNTIME)).filter(|path| path.exists()));
    match unfinished.first() {
        None => Ok(()),
        Some(path) => {
            let cause = format!("{} is not complete: a bake was interrupted", path.display());
            Err(Error::new(Code::ImageUnfinished, "making an image of this machine", cause))
        }
    }
}
