//! Reads a working tree for `validate` and `init`: offline, without knowledge of a machine or an instance.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::facts::{Ask, Question};
use crate::machine::{LocalHost, Observe};
use crate::observe::{self, MANIFEST};
use crate::planner::lint::{Lint, Tree, lint};
use crate::planner::{self, MAX_QUESTIONS, Unmet};

pub struct Inspected {
    pub lint: Lint,
    pub has_manifest: bool,
}

/// `with_manifest`: false for what conventions alone would choose.
pub fn inspect(path: &Path, with_manifest: bool) -> Result<Inspected> {
    let machine = LocalHost::observer();
    let mut evidence = planner::evidence().into_iter().chain([MANIFEST.to_owned()]).collect::<Vec<_>>();
    let uncommitted = machine.uncommitted(path);
    // Once more than it asks: the last time is for the answer.
    for _ in 0..=MAX_QUESTIONS {
        let source = machine.tree(path, &evidence)?;
        let manifest = if with_manifest { observe::repository_manifest(&source)? } else { None };
        match lint(&Tree { source: &source, manifest, uncommitted: uncommitted.as_ref() }) {
            Err(Unmet::Ask(Question { ask: Ask::Evidence(more), .. })) => evidence.extend(more),
            judged => {
                let has_manifest = manifest.is_some();
                return Ok(Inspected { lint: judged.map_err(Unmet::into_error)?, has_manifest });
            }
        }
    }
    Err(Error::new(Code::Bug, "validating", "the planner asks for further files without end"))
}
